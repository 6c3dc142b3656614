"""doc/ws.md and the docstrings say the same: options with types and defaults, methods with parameters, events."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

import pytest
from documents import ROOT
from support import end

from ws import ProxyAgent, ReconnectingWebSocket, WebSocket, WebSocketServer, WebSocketStream, createWebSocketStream

TEXT = (ROOT / 'doc' / 'ws.md').read_text(encoding='utf-8')

# -- options ----------------------------------------------------------------------------------------------------------

#: Where an option is documented: the heading of its table, and what has the docstring.
PLACES = {
    '### WebSocketServer(options, [callback])': WebSocketServer,
    '### WebSocket(address, [protocols], [options])': WebSocket,
    '### createWebSocketStream(ws, [options])': createWebSocketStream,
    '### ReconnectingWebSocket(url, [protocols], [options])': ReconnectingWebSocket,
    '### ProxyAgent(url, [options])': ProxyAgent,
}

#: Words for the same type, or the same unit, here and there.
SAME = {
    'milliseconds': 'ms',
    'callable': 'function',
    'socket.socket': 'socket',
    'ssl.SSLContext': 'SSLContext',
    'concurrent.futures.Executor': 'Executor',
}
TYPES = {'int', 'str', 'bool', 'bytes', 'ms', 'number', 'dict', 'list', 'iterable', 'path', 'path-like'}
TYPES |= {'function', 'class', 'socket', 'SSLContext', 'Executor'}


class Option(NamedTuple):
    types: frozenset[str]
    #: As the text has it, if it does.
    default: str


def types_in(text: str) -> frozenset[str]:
    words = re.findall(r'[\w.-]+', text)
    return frozenset(SAME.get(word, word) for word in words) & TYPES


def documented(heading: str) -> dict[str, Option]:
    section = TEXT.partition(f'\n{heading}\n')[2].partition('\n### ')[0]
    rows = re.findall(r'^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \| `([^`]*)` \|', section, re.MULTILINE)
    return {
        name: Option(types_in(types), default) for names, types, default in rows for name in re.findall(r'\w+', names)
    }


def in_docstring(documented: Any) -> dict[str, Option]:
    """What stands there as ``name`` (type, default; more), one or several with one pair of parentheses."""
    text = re.sub(r':class:`([^`]+)`', r'\1', ' '.join(inspect.cleandoc(documented.__doc__).split()))
    found: dict[str, Option] = {}
    for names, inside in re.findall(r'((?:``\w+``, )*``\w+``) \(((?:[^()]|\([^)]*\))*)\)', text):
        said = inside.partition(';')[0]
        default = re.search(r'(?:^|, )(-?[\d.]+(?: MiB)?|True|False|None|infinite)$', said)
        for name in re.findall(r'``(\w+)``', names):
            found.setdefault(name, Option(types_in(said), default[1] if default else ''))
    return found


def value(default: str) -> str:
    """A default of a docstring as Python writes it."""
    if default.endswith(' MiB'):
        return repr(int(default.removesuffix(' MiB')) * 1024**2)
    return 'inf' if default == 'infinite' else default


@pytest.mark.parametrize('heading', PLACES)
def test_options_have_the_same_types_and_defaults(heading: str) -> None:
    options, told = documented(heading), in_docstring(PLACES[heading])
    both = told.keys() & options.keys()
    for name in both:
        assert told[name].types <= options[name].types, name
        assert not told[name].default or value(told[name].default) == options[name].default, name
    assert len(both) > len(options) * 0.8, 'the docstring has another form'


@pytest.mark.parametrize('heading', PLACES)
def test_every_option_is_in_the_docstring(heading: str) -> None:
    text = PLACES[heading].__doc__ or ''
    assert [name for name in documented(heading) if f'``{name}``' not in text] == []


# -- methods and attributes -------------------------------------------------------------------------------------------

KINDS = {
    'server': WebSocketServer,
    'websocket': WebSocket,
    'reconnecting': ReconnectingWebSocket,
    'stream': WebSocketStream,
    'agent': ProxyAgent,
}


def headings() -> list[tuple[str, str, str]]:
    """Kind, name, and what is in parentheses, of each method or attribute that has a heading."""
    found = []
    for line in re.findall(r'^### (\w+\..+)$', TEXT, re.MULTILINE):
        kind = line.partition('.')[0]
        if kind in KINDS:
            names = re.findall(rf'(?:{kind}\.)?(\w+)(?:\(([^)]*)\))?(?:, |$)', line.removeprefix(f'{kind}.'))
            found += [(kind, name, parameters) for name, parameters in names]
    return found


def set_by_constructors() -> dict[str, set[str]]:
    client = WebSocket('ws://127.0.0.1:1')
    client.on('error', lambda: None)
    end(client)
    server = WebSocketServer(noServer=True)
    server.close()
    return {'websocket': set(vars(client)), 'server': set(vars(server)), 'reconnecting': {'options', 'url'}}


def test_every_heading_is_there() -> None:
    own = set_by_constructors()
    missing = [
        f'{kind}.{name}'
        for kind, name, _ in headings()
        if not hasattr(KINDS[kind], name) and name not in own.get(kind, ())
    ]
    assert missing == []


def positional(method: Any) -> list[str]:
    """The names of its parameters, without keywords: those are options."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    parameters = inspect.signature(method).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in kinds and parameter.name != 'self']


def test_methods_have_the_parameters_of_their_headings() -> None:
    for kind, name, parameters in headings():
        method = getattr(KINDS[kind], name, None)
        if parameters not in ('', '…'):
            stated = re.findall(r'\w+', parameters)
            if name == 'close' and kind != 'server':
                stated.append('options')  # "A third argument has no effect."
            assert positional(method) == stated, f'{kind}.{name}'


# -- events -----------------------------------------------------------------------------------------------------------


def events_in(heading: str) -> dict[str, list[str]]:
    section = TEXT.partition(f'\n## {heading}\n')[2].partition('\n## ')[0].replace('&lt;', '<').replace('&gt;', '>')
    found = re.findall(r"^### Event: '([^']+)'\n\n`function\(([^)]*)\)`", section, re.MULTILINE)
    return {name: parameters.split(', ') if parameters else [] for name, parameters in found}


def events_of(kind: type) -> dict[str, list[str]]:
    text = ' '.join(inspect.cleandoc(kind.__doc__ or '').partition('Events')[2].split())
    found = re.findall(r'``([\w<>-]+)\(([^)]*)\)``', text)
    return {name: parameters.split(', ') if parameters else [] for name, parameters in found}


@pytest.mark.parametrize('kind', [WebSocket, WebSocketServer])
def test_events_are_the_same_with_the_same_arguments(kind: type) -> None:
    assert events_of(kind) == events_in(f'Class: {kind.__name__}')
    assert {name for name in events_of(kind) if '<' not in name} == set(kind._emits)  # type: ignore[attr-defined]
