"""What type checkers make of programs that use this package, and that its own types are those of its defaults."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import typing
from collections import defaultdict
from pathlib import Path
from typing import Any, Optional, TypeVar, Union

import pytest
from documents import ROOT, Document

import ws
from ws import options
from ws import typing as types

# -- the package itself -----------------------------------------------------------------------------------------------

TABLES = [
    (types.ClientOptions, options.CLIENT_OPTIONS, 'WebSocket'),
    (types.ReconnectingOptions, options.RECONNECTING_OPTIONS, 'ReconnectingWebSocket'),
    (types.ServerOptions, options.SERVER_OPTIONS, 'WebSocketServer'),
    (types.DuplexOptions, options.DUPLEX_OPTIONS, 'createWebSocketStream'),
    (types.ProxyOptions, options.PROXY_OPTIONS, 'ProxyAgent'),
    (types.PerMessageDeflateOptions, options.DEFLATE_OPTIONS, 'perMessageDeflate'),
    (types.ZlibDeflateOptions, options._ZLIB_DEFLATE_OPTIONS, 'zlibDeflateOptions'),
    (types.ZlibInflateOptions, options._ZLIB_INFLATE_OPTIONS, 'zlibInflateOptions'),
]


@pytest.mark.parametrize(('described', 'defaults', 'owner'), TABLES, ids=[row[2] for row in TABLES])
def test_options_have_the_names_of_their_defaults_and_their_types(
    described: Any, defaults: dict[str, Any], owner: str
) -> None:
    hints = typing.get_type_hints(described)
    assert set(hints) == {*defaults, *options.NO_EFFECT.get(owner, ())}
    for name, default in defaults.items():
        possible = typing.get_args(hints[name])
        assert type(None) in possible, name  # None counts as not given
        assert type(default) in possible or (type(default) is int and float in possible), name


def test_options_of_methods() -> None:
    for method, described in ((ws.WebSocket.send, types.SendOptions), (ws.WebSocket.stream, types.StreamOptions)):
        parameters = inspect.signature(method).parameters.values()
        keywords = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
        assert keywords == set(typing.get_type_hints(described))


def test_annotations_can_be_looked_up() -> None:
    exported = [getattr(ws, name) for name in ws.__all__]
    for thing in [*exported, *(getattr(types, name) for name in types.__all__)]:
        if inspect.isclass(thing):
            typing.get_type_hints(thing)
            for _, function in inspect.getmembers(thing, inspect.isfunction):
                if function.__module__.partition('.')[0] == 'ws':  # pyee's may be as they are
                    typing.get_type_hints(function)
        elif inspect.isfunction(thing):
            typing.get_type_hints(thing)


def test_nothing_is_needed_that_is_not_installed_along() -> None:
    program = "import sys; sys.modules['typing_extensions'] = None; import ws.typing"
    subprocess.run([sys.executable, '-c', program], cwd=ROOT, check=True)


# -- programs of users ------------------------------------------------------------------------------------------------

#: What a reader who annotates the programs of our documents would write: they are about sockets, not about types.
ANNOTATIONS = {
    'ws': 'WebSocket',
    'client': 'WebSocket',
    'this': 'WebSocket',
    'peer': 'WebSocket',
    'worker': 'WebSocket',
    'but': 'Optional[WebSocket]',
    'request': 'Request',
    'data': 'str',
    'message': 'str',
    'flags': 'MessageFlags',
    'isBinary': 'MessageFlags',
    'code': 'int',
    'reason': 'str',
    'error': 'Optional[Exception]',
    'lines': 'list[str]',
    'info': 'ClientInfo',
    'protocols': 'list[str]',
    'options': 'AgentOptions',
    'send': 'SendPiece',
}
#: The same in listeners of clients' events, whose functions are named after them.
OF_CLIENTS = {'url': 'str', 'ws': 'WebSocket', 'request': 'ClientRequest', 'response': 'Response'}
IMPORTS = (
    'from __future__ import annotations\n'
    'from typing import Any, Optional\n'
    'from ws import WebSocket\n'
    'from ws.typing import AgentOptions, ClientInfo, ClientRequest, MessageFlags, Request, Response, SendPiece\n'
)


_Function = TypeVar('_Function', ast.FunctionDef, ast.AsyncFunctionDef)


class _Annotator(ast.NodeTransformer):
    """Annotates all functions of a program."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        return self._annotate(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        return self._annotate(node)

    def _annotate(self, node: _Function) -> _Function:
        self.generic_visit(node)
        annotations = OF_CLIENTS if node.name in ('redirect', 'unexpected', 'finishRequest') else ANNOTATIONS
        for number, argument in enumerate([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]):
            if argument.annotation is None and not (number == 0 and argument.arg == 'self'):
                argument.annotation = ast.Name(annotations.get(argument.arg, 'Any'), ast.Load())
        for some in (node.args.vararg, node.args.kwarg):
            if some is not None:
                some.annotation = ast.Name('Any', ast.Load())
        if node.returns is None:
            node.returns = ast.Name('Any', ast.Load()) if _returns(node) else ast.Constant(None)
        return node


def _returns(function: ast.AST) -> bool:
    return any(isinstance(node, (ast.Return, ast.Yield)) and node.value is not None for node in ast.walk(function))


def annotated(program: str) -> str:
    return IMPORTS + ast.unparse(ast.fix_missing_locations(_Annotator().visit(ast.parse(program))))


#: What is no business of ours.
LEFT_OUT = {
    'deployment: Jupyter',  # two cells: what the first one looks up, and the second one has of the first
    'deployment: Jupyter (2)',
    'deployment: gunicorn with several workers (2)',  # a global variable that only a function assigns
    "deployment: Django's development server",  # Django has no types
    'threads: In a Django project',
    'ws: createWebSocketStream(ws, [options]) (2)',  # the pipes of subprocess, which may be None
}
#: What mypy refuses. `(f(), g())` in a lambda: what doesn't return a value has none to put into a tuple. A variable in
#: the lambda that it is made with: its type isn't known yet.
NOT_FOR_MYPY = {
    'threads: The loop thread',
    'threads: How long the program lives (2)',
    'threads: How long the program lives (3)',
    'threads: fork',
    'threads: In a desktop program',
    'ws: wait()',
    'ws: WebSocketServer(options, [callback])',
}
PROGRAMS = {
    name: block.code
    for path in ['README.md', *(f'doc/{path.name}' for path in sorted((ROOT / 'doc').glob('*.md')))]
    for block in Document(path).blocks
    if block.language == 'python' and (name := f'{Path(path).stem}: {block.name}') not in LEFT_OUT
}
TYPED = ROOT / 'test' / 'typed'

#: File -> line -> what is wrong there, by the checker's own names.
Findings = dict[str, dict[int, list[str]]]


def run_mypy(folder: Path) -> Findings:
    if importlib.util.find_spec('mypy') is None:
        pytest.skip('no mypy (make .venv/installed-test installs it)')
    # Frameworks without types are no business of ours.
    command = ['mypy', '--strict', '--ignore-missing-imports', '--no-error-summary', '--cache-dir', os.devnull]
    command += ['--disable-error-code', 'var-annotated']  # what readers write if they annotate a program
    found: Findings = defaultdict(lambda: defaultdict(list))
    for line in _run(command, folder).splitlines():
        matched = re.fullmatch(r'(\w+)\.py:(\d+): error: .*\[([\w-]+)\]', line)
        if matched:
            found[matched[1]][int(matched[2])].append(matched[3])
        else:
            assert re.match(r'\w+\.py:\d+: note: ', line), line
    return found


def run_pyright(folder: Path) -> Findings:
    if importlib.util.find_spec('pyright') is None or shutil.which('node') is None:
        pytest.skip('no pyright (make .venv/installed-test installs it), or no node to run it')
    report = json.loads(_run(['pyright', '--outputjson', '--pythonpath', sys.executable], folder))
    assert report['summary']['filesAnalyzed'] == len(list(folder.iterdir()))
    found: Findings = defaultdict(lambda: defaultdict(list))
    for finding in report['generalDiagnostics']:
        if finding['severity'] == 'error':
            found[Path(finding['file']).stem][finding['range']['start']['line'] + 1].append(
                finding.get('rule', finding['message'])
            )
    return found


def _run(command: list[str], folder: Path) -> str:
    """As a user would run it who has installed this package."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    files = sorted(path.name for path in folder.iterdir())
    completed = subprocess.run(
        [sys.executable, '-m', *command, *files], cwd=folder, env=environment, capture_output=True, encoding='utf-8'
    )
    assert completed.returncode in (0, 1), completed.stdout + completed.stderr
    return completed.stdout


CHECKERS = {'mypy': run_mypy, 'pyright': run_pyright}


def file_of(program: str) -> str:
    return f'program_{list(PROGRAMS).index(program)}'


@pytest.fixture(scope='module', params=list(CHECKERS))
def checked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Findings]:
    """One run over everything: starting takes these programs longer than checking."""
    folder = tmp_path_factory.mktemp('typed')
    for name, program in PROGRAMS.items():
        (folder / f'{file_of(name)}.py').write_text(annotated(program), encoding='utf-8')
    for path in TYPED.glob('*.py'):
        shutil.copy(path, folder)
    return request.param, CHECKERS[request.param](folder)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize('program', PROGRAMS)
def test_programs_of_the_documents(checked: tuple[str, Findings], program: str) -> None:
    checker, findings = checked
    lines = annotated(PROGRAMS[program]).splitlines()
    wrong = {lines[number - 1]: rules for number, rules in findings[file_of(program)].items()}
    assert bool(wrong) is (checker == 'mypy' and program in NOT_FOR_MYPY), wrong


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_right_programs(checked: tuple[str, Findings]) -> None:
    _checker, findings = checked
    assert findings['right'] == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_wrong_programs(checked: tuple[str, Findings]) -> None:
    checker, findings = checked
    expected = {
        number: comment[1]
        for number, line in enumerate((TYPED / 'wrong.py').read_text(encoding='utf-8').splitlines(), 1)
        if (comment := re.search(rf'# .*\b{checker}: ([\w-]+)', line)) and comment[1] != 'nothing'
    }
    assert {number: _main(rules) for number, rules in findings['wrong'].items()} == expected


def _main(rules: list[str]) -> Union[str, list[str], None]:
    """What is wrong on a line. Of two, one says that no overload fits, and the other which argument it is."""
    main: Optional[list[str]] = sorted(set(rules) - {'reportCallIssue'})
    return main[0] if main and len(main) == 1 else rules[0] if len(set(rules)) == 1 else rules
