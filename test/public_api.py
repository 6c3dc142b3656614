"""What is public, as text: `make api` writes it to test/public_api.txt, and test_public_api.py compares.

Types are quoted from the sources, and nothing is asked of Python that depends on its version. See doc/versioning.md.
"""

from __future__ import annotations

import ast
import configparser
import functools
import importlib
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from documents import ROOT
from pyee import EventEmitter as PyeeEventEmitter

import ws
from ws import options
from ws.event_target import _Misspelt
from ws.net.loop import Handle
from ws.rooms import rooms

FILE = ROOT / 'test' / 'public_api.txt'

#: Module -> its public names.
MODULES: dict[str, list[str]] = {
    'ws': ['__version__', 'speedups', *ws.__all__],
    'ws.timers': ws.timers.__all__,
    'ws.rooms': importlib.import_module('ws.rooms').__all__,
    'ws.rooms.redis': ['RedisBus'],
    'ws.typing': importlib.import_module('ws.typing').__all__,
    # What listeners and attributes hand out.
    'ws.net.face': ['Socket'],
    'ws.event_target': ['Event', 'OpenEvent', 'MessageEvent', 'CloseEvent', 'ErrorEvent'],
}
#: Who takes options -> their types, by the name of a TypedDict, and their defaults.
OPTIONS: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    'WebSocket': ('ws.typing', 'ClientOptions', options.CLIENT_OPTIONS),
    'ReconnectingWebSocket': ('ws.typing', 'ReconnectingOptions', options.RECONNECTING_OPTIONS),
    'WebSocketServer': ('ws.typing', 'ServerOptions', options.SERVER_OPTIONS),
    'createWebSocketStream': ('ws.typing', 'DuplexOptions', options.DUPLEX_OPTIONS),
    'ProxyAgent': ('ws.typing', 'ProxyOptions', options.PROXY_OPTIONS),
    'Rooms': ('ws.rooms.rooms', 'RoomsOptions', rooms.ROOMS_OPTIONS),
    'perMessageDeflate': ('ws.typing', 'PerMessageDeflateOptions', options.DEFLATE_OPTIONS),
    'zlibDeflateOptions': ('ws.typing', 'ZlibDeflateOptions', options._ZLIB_DEFLATE_OPTIONS),
    'zlibInflateOptions': ('ws.typing', 'ZlibInflateOptions', options._ZLIB_INFLATE_OPTIONS),
}
#: Class -> the one of ws/_attaching.py that says what its listeners are given.
LISTENERS = {'WebSocket': 'AttachToWebSocket', 'WebSocketServer': 'AttachToServer'}
#: What the loop calls.
HIDDEN = set(vars(Handle))
#: Public, although they are not in camelCase, as all that is Node's is.
IN_SNAKE_CASE = {'_socket', 'from_environment', *(name for name in vars(PyeeEventEmitter) if name[0] != '_')}
#: Options of calls.
CALLS = ['ControlOptions', 'StreamOptions', 'SendOptions', 'FrameOptions', 'ListenerOptions']

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


def listing() -> str:
    """The whole text."""
    lines = ['# What is public: see doc/versioning.md. Written by `make api`.']
    for section in (distribution(), wscat(), *(module(name) for name in MODULES), all_options(), errors()):
        lines += ['', *section]
    return '\n'.join(lines) + '\n'


# -- packages and programs --------------------------------------------------------------------------------------------


def distribution() -> Iterator[str]:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / 'setup.cfg', encoding='utf-8')
    yield f'distribution {metadata["metadata"]["name"]}'
    yield f'  Python {metadata["options"]["python_requires"]}'
    for requirement in metadata['options']['install_requires'].split():
        yield f'  requires {requirement}'
    for extra in ('redis', 'socks'):  # the others are for who works on it
        yield f'  extra {extra}: {", ".join(metadata["options.extras_require"][extra].split())}'
    for script in metadata['options.entry_points']['console_scripts'].strip().splitlines():
        yield f'  program {script}'


def wscat() -> Iterator[str]:
    shown = subprocess.run(
        [sys.executable, '-m', 'ws', '-h'], cwd=ROOT, capture_output=True, encoding='utf-8', check=True
    ).stdout
    yield 'program wscat'
    yield from sorted({f'  {option}' for option in re.findall(r'^ +(?:-\w, )?(--[\w-]+)', shown, re.MULTILINE)})


# -- modules ----------------------------------------------------------------------------------------------------------


def module(name: str) -> Iterator[str]:
    yield f'module {name}'
    loaded = importlib.import_module(name)
    for public in sorted(MODULES[name]):
        if name == 'ws.typing' or not hasattr(loaded, public):
            yield from indented(definition(name, public))
        else:
            yield from indented(described(public, getattr(loaded, public), name))


def described(name: str, value: Any, module_name: str) -> Iterator[str]:
    if inspect.isclass(value):
        yield from one_class(name, value)
    elif inspect.isfunction(value):
        yield from function_lines(name, value)
    elif isinstance(value, types.ModuleType):
        yield f'module {name}'
    elif name in ('__version__', 'speedups'):
        yield f'{name}: {type(value).__name__}'
    elif isinstance(value, int):
        yield f'{name} = {value!r}'
    else:
        yield f'{name}: {type(value).__name__}'


def function_lines(name: str, function: types.FunctionType) -> Iterator[str]:
    if function.__name__ != name:
        yield f'{name} = {function.__name__}'
    else:
        source = source_of(function.__module__)
        yield from signatures(source, [node for node in source.tree.body if is_function(node, name)])


def definition(module_name: str, name: str) -> Iterator[str]:
    """What has a definition but no value worth showing: the types of ws.typing."""
    source = source_of(module_name)
    node = source.find(name)
    if isinstance(node, ast.ClassDef):
        yield f'class {name}({", ".join(map(source.text, node.bases))})'
        if name not in [*CALLS, *(described_by for _, described_by, _ in OPTIONS.values())]:  # which come below
            yield from indented(f'{key}: {kind}' for key, kind in fields(module_name, name))
    elif isinstance(node, ast.ImportFrom):
        where = importlib.import_module(f'ws.{node.module}')
        value = getattr(where, name)
        yield from one_class(name, value) if inspect.isclass(value) else [f'{name} from ws.{node.module}']
    else:
        yield source.text(node)


# -- classes ----------------------------------------------------------------------------------------------------------


def one_class(name: str, cls: type) -> Iterator[str]:
    if cls.__name__ != name:
        yield f'{name} = {cls.__name__}'
        return
    above = next((base for base in cls.__mro__[1:] if is_listed(base)), None)
    bases = [f'pyee.{base.__name__}' if base is PyeeEventEmitter else base.__name__ for base in visible_bases(cls)]
    yield f'class {name}({", ".join(bases)})'
    parts = [part for part in cls.__mro__ if is_ours(part) and (above is None or not issubclass(above, part))]
    lines: dict[str, list[str]] = {}
    for part in reversed(parts):
        for member, text in members(part):
            if member not in lines or text != [member]:  # else that was told with its type
                lines[member] = text
        for member, value in vars(part).items():
            if is_public(member) and not isinstance(value, _Misspelt):
                lines.setdefault(member, [member])  # which no statement has made
    for member in sorted(lines, key=lambda member: (member != '__init__', member)):
        yield from indented(lines[member])
    yield from indented(events(name, cls))


def is_ours(cls: type) -> bool:
    return cls.__module__.partition('.')[0] == 'ws'


def is_listed(cls: type) -> bool:
    return any(cls.__name__ in names for names in MODULES.values()) and is_ours(cls)


def visible_bases(cls: type) -> list[type]:
    """Those that are public here or elsewhere, with what is behind those that are not."""
    found: list[type] = []
    for base in cls.__bases__:
        if base is object or base.__name__ == 'Protocol':
            continue
        found += [base] if not is_ours(base) or is_listed(base) else visible_bases(base)
    return list(dict.fromkeys(found))


def members(cls: type) -> Iterator[tuple[str, list[str]]]:
    """What the class itself defines: name -> how it is used."""
    source = source_of(cls.__module__)
    node = source.find(cls.__name__)
    assert isinstance(node, ast.ClassDef), cls
    for name, nodes in by_name(node.body).items():
        if name == '__init__':
            yield name, list(signatures(source, nodes, method=True))
            yield from attributes(source, nodes[-1])
        elif is_public(name):
            yield name, list(member(source, nodes))


def by_name(body: list[ast.stmt]) -> dict[str, list[Any]]:
    """The statements that define something, by what they define. What is for type checkers alone is left out."""
    found: dict[str, list[Any]] = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, []).append(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node)
    return found


def is_public(name: str) -> bool:
    return name in IN_SNAKE_CASE or not ('_' in name or name in HIDDEN)


def member(source: Source, nodes: list[Any]) -> Iterator[str]:
    node = nodes[-1]
    if isinstance(node, ast.AnnAssign):
        yield f'{source.text(node.target)}: {source.text(node.annotation)}'
    elif isinstance(node, ast.Assign):
        yield source.text(node.targets[0])
    elif any(source.text(decorator).endswith('property') for decorator in nodes[0].decorator_list):
        settable = '' if len(nodes) == 1 else ', settable'
        yield f'{node.name}: {source.text(nodes[0].returns)} (property{settable})'
    else:
        yield from signatures(source, nodes, method=True)


def attributes(source: Source, constructor: Function) -> Iterator[tuple[str, list[str]]]:
    """Those that every object has."""
    for node in ast.walk(constructor):
        for target in getattr(node, 'targets', None) or [getattr(node, 'target', None)]:
            if isinstance(target, ast.Attribute) and source.text(target.value) == 'self' and is_public(target.attr):
                kind = f': {source.text(node.annotation)}' if isinstance(node, ast.AnnAssign) else ''
                yield target.attr, [f'{target.attr}{kind}']


def events(name: str, cls: type) -> Iterator[str]:
    known = listener_types(LISTENERS[name]) if name in LISTENERS else {}
    for event in sorted(getattr(cls, '_emits', ())):
        yield f'event {event!r}' + (f': {known[event]}' if event in known else '')


def listener_types(attaching: str) -> dict[str, str]:
    """Event -> what may listen to it. The last of them is for all that have no name: ``connection<url>``, too."""
    source = source_of('ws._attaching')
    node = source.find(attaching)
    assert isinstance(node, ast.ClassDef)
    found: dict[str, str] = {}
    for overload in node.body[1:]:
        assert isinstance(overload, ast.FunctionDef)
        _self, event, listener = [*overload.args.posonlyargs, *overload.args.args]
        names = re.findall("'([^']+)'", source.text(event.annotation)) or ['connection']
        text = source_of('ws.typing').text(source_of('ws.typing').find(source.text(listener.annotation)))
        found.update(dict.fromkeys(names, text.partition(' = ')[2]))
    return found


# -- options and errors -----------------------------------------------------------------------------------------------


def all_options() -> Iterator[str]:
    for owner, (module_name, described_by, defaults) in OPTIONS.items():
        yield f'options of {owner}'
        for name, kind in sorted(fields(module_name, described_by)):
            yield f'  {name}: {kind} ' + (f'= {defaults[name]!r}' if name in defaults else '(no effect)')
    for method in CALLS:
        yield f'options of calls: {method}'
        yield from indented(f'{name}: {kind}' for name, kind in sorted(fields('ws.typing', method)))


def fields(module_name: str, name: str) -> list[tuple[str, str]]:
    """What a TypedDict has, and each class it inherits from; or a class of attributes."""
    source = source_of(module_name)
    node = source.find(name)
    if not isinstance(node, ast.ClassDef):
        return []
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    own = [field for field in node.body if isinstance(field, ast.AnnAssign)]
    return [
        *(inherited for base in bases for inherited in fields(module_name, base)),
        *((source.text(field.target), source.text(field.annotation)) for field in own),
    ]


def errors() -> Iterator[str]:
    yield 'codes of errors'
    texts = [path.read_text(encoding='utf-8') for path in (ROOT / 'ws').rglob('*.py')]
    yield from sorted({f'  {code}' for text in texts for code in re.findall(r"'(WS_ERR_\w+)'", text)})


# -- sources ----------------------------------------------------------------------------------------------------------


class Source:
    """A module as text."""

    def __init__(self, name: str) -> None:
        self.module = importlib.import_module(name)
        assert self.module.__file__ is not None
        code = Path(self.module.__file__).read_bytes()
        self._lines = code.splitlines(keepends=True)
        self.tree = ast.parse(code)

    def find(self, name: str) -> Optional[ast.stmt]:
        """The statement that defines `name`."""
        found = None
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom):
                names = [alias.asname or alias.name for alias in node.names]
            else:
                names = [getattr(node, 'name', None), *by_name([node])]
            if name in names:
                found = node
        return found

    def text(self, node: Optional[ast.AST]) -> str:
        """What stands there, on one line."""
        assert node is not None
        text = self._segment(node).decode()
        return re.sub(r',? ([\])])', r'\1', re.sub(r'([\[(]) ', r'\1', ' '.join(re.sub('#.*', '', text).split())))

    def _segment(self, node: Any) -> bytes:
        """As ast.get_source_segment, which splits the whole source each time."""
        *lines, last = self._lines[node.lineno - 1 : node.end_lineno]
        return b''.join([*lines, last[: node.end_col_offset]])[node.col_offset :]

    def default(self, node: ast.expr) -> str:
        try:
            return repr(ast.literal_eval(node))
        except ValueError:
            value = getattr(self.module, node.id, None) if isinstance(node, ast.Name) else None
            return repr(value) if isinstance(value, (int, str, float)) else '...'


source_of = functools.lru_cache(maxsize=None)(Source)


def is_function(node: ast.AST, name: str) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name


def signatures(source: Source, nodes: list[Any], method: bool = False) -> Iterator[str]:
    """How a function can be called: its overloads, if it has some."""
    overloads = [node for node in nodes if any(source.text(part) == 'overload' for part in node.decorator_list)]
    for node in overloads or nodes[-1:]:
        static = any(source.text(part) == 'staticmethod' for part in node.decorator_list)
        returns = f' -> {source.text(node.returns)}' if node.returns is not None else ''
        parameters = ', '.join(parameter_texts(source, node.args, method and not static))
        yield f'{node.name}({parameters}){returns}'


def parameter_texts(source: Source, args: ast.arguments, method: bool) -> Iterator[str]:
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    for number, (argument, default) in enumerate(zip(positional, defaults)):
        if number or not method:
            yield parameter(source, argument, default)
        if number == len(args.posonlyargs) - 1 and not (method and number == 0):
            yield '/'
    if args.vararg is not None:
        yield '*' + parameter(source, args.vararg, None)
    elif args.kwonlyargs:
        yield '*'
    for argument, keyword_default in zip(args.kwonlyargs, args.kw_defaults):
        yield parameter(source, argument, keyword_default)
    if args.kwarg is not None:
        yield '**' + parameter(source, args.kwarg, None)


def parameter(source: Source, argument: ast.arg, default: Optional[ast.expr]) -> str:
    kind = f': {source.text(argument.annotation)}' if argument.annotation is not None else ''
    return f'{argument.arg}{kind}' + (f' = {source.default(default)}' if default is not None else '')


def indented(lines: Any) -> Iterator[str]:
    for line in lines:
        yield f'  {line}'


if __name__ == '__main__':
    FILE.write_text(listing(), encoding='utf-8')
