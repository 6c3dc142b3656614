"""The header ``Sec-WebSocket-Extensions`` (RFC 6455 section 9.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Optional

from .http import TCHAR, TOKEN

#: The most extensions taken in one header, and the most parameters of one.
MAX_EXTENSIONS = 32
MAX_PARAMETERS = 32

# No blank around "=", as in RFC 9110 section 5.6.6 and in Node's ws. What a quoted value stands for must be a token.
_match_name = re.compile(rf'[ \t]*({TOKEN})[ \t]*').match
_match_parameter = re.compile(
    rf'[ \t]*(?P<name>{TOKEN})(?:=(?:(?P<value>{TOKEN})|"(?P<quoted>(?:\\?{TCHAR})+)"))?[ \t]*'
).match


class Extension(NamedTuple):
    """One extension as it is offered or accepted."""

    name: str
    #: In the order of the header, repeated ones included; a value is None where there is no ``=``.
    parameters: Sequence[tuple[str, Optional[str]]] = ()


def parse_extensions(header: str) -> list[Extension]:
    """Parse the value of the header, or of several of them joined with commas.

    Raises ValueError saying what is wrong with it. Empty elements of the list are wrong, as in Node's ws.
    """
    extensions: list[Extension] = []
    pos = -1  # of the comma before the extension
    while pos < len(header):
        extension, pos = _parse_extension(header, pos + 1)
        if len(extensions) == MAX_EXTENSIONS:
            raise ValueError(f'more than {MAX_EXTENSIONS} extensions')
        extensions.append(extension)
    return extensions


def _parse_extension(header: str, pos: int) -> tuple[Extension, int]:
    """The extension that begins at `pos`, and where the comma behind it is, or the end."""
    match = _match_name(header, pos)
    if match is None:
        raise _unexpected(header, pos)
    name = match[1]
    pos = match.end()
    parameters: list[tuple[str, Optional[str]]] = []
    while header.startswith(';', pos):
        match = _match_parameter(header, pos + 1)
        if match is None:
            raise _unexpected(header, pos + 1)
        if len(parameters) == MAX_PARAMETERS:
            raise ValueError(f'more than {MAX_PARAMETERS} parameters of extension {name}')
        value = match['value'] if match['quoted'] is None else match['quoted'].replace('\\', '')
        parameters.append((match['name'], value))
        pos = match.end()
    if not header.startswith(',', pos) and pos < len(header):
        raise _unexpected(header, pos)
    return Extension(name, parameters), pos


def _unexpected(header: str, pos: int) -> ValueError:
    """What can't be parsed begins at `pos`, after blanks perhaps."""
    rest = header[pos:].lstrip(' \t')
    if not rest:
        return ValueError('Unexpected end of input')
    return ValueError(f'Unexpected character at index {len(header) - len(rest)}')


def format_extension(extension: Extension) -> str:
    """As it stands in the header. All that is in it must be tokens."""
    parts = [extension.name]
    parts += [name if value is None else f'{name}={value}' for name, value in extension.parameters]
    return '; '.join(parts)
