"""The little of HTTP/1.1 that the opening handshake needs: reading and writing heads (RFC 9112).

Reading is strict: lines end with CRLF and with nothing else, and what RFC 9112 lets a recipient repair is refused,
because two parties that repair differently can be played off against each other.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union, overload
from urllib.parse import unquote_to_bytes

from ..errors import HandshakeError

if TYPE_CHECKING:
    from ..typing import OWN_ATTRIBUTES

#: The longest head taken, in bytes, its closing empty line included.
MAX_HEAD = 16 * 1024
#: The most header lines taken in one head.
MAX_HEADERS = 128
#: The longest request target taken, in bytes.
MAX_TARGET = 8 * 1024
#: The most interim responses passed over. A peer that sends nothing else would keep us at work for nothing.
MAX_INTERIM = 16

_T = TypeVar('_T')

#: A character of a token, and a token, as regular expressions (RFC 9110 section 5.6.2).
TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = f'{TCHAR}+'
_is_token = re.compile(TOKEN).fullmatch
_is_header_line = re.compile(f'{TOKEN}:.*').fullmatch
_match_request_line = re.compile(rf'({TOKEN}) ([!-~]+) HTTP/([0-9])\.([0-9])').fullmatch
_match_status_line = re.compile(r'HTTP/(1\.[0-9]) ([1-9][0-9]{2})(?: (.*))?').fullmatch
_is_content_length = re.compile('[0-9]{1,15}').fullmatch
_sub_escapes = re.compile(r'\\(?:([0-3][0-7]{2})|(.))').sub
_match_scheme_and_authority = re.compile('[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*').match

# Lines without control characters, and the first half of a CRLF whose other half is still to come. Once a head is made
# of nothing else, neither a lone CR nor a lone LF among it, there is only one way to split it into lines.
_match_lines = re.compile(rb'[\t -~\x80-\xff]*(?:\r\n[\t -~\x80-\xff]*)*(?:\r\Z)?').match
# What can't be written into a line: control characters, and what latin-1 has no byte for.
_find_unwritable = re.compile('[^\t -~\x80-\xff]').search

# Spelled once, so that the requests of thousands of open connections share them.
_WELL_KNOWN = (
    'Host', 'Connection', 'Upgrade', 'Origin', 'User-Agent', 'Cookie', 'Authorization', 'Pragma', 'Cache-Control',
    'Accept', 'Accept-Encoding', 'Accept-Language', 'Content-Length', 'Content-Type', 'Date', 'Server', 'Location',
    'Sec-WebSocket-Accept', 'Sec-WebSocket-Extensions', 'Sec-WebSocket-Key', 'Sec-WebSocket-Key1',
    'Sec-WebSocket-Key2', 'Sec-WebSocket-Origin', 'Sec-WebSocket-Protocol', 'Sec-WebSocket-Version',
    'Sec-Fetch-Dest', 'Sec-Fetch-Mode', 'Sec-Fetch-Site', 'DNT', 'Forwarded', 'X-Forwarded-For',
    'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Real-IP',
)  # fmt: skip
#: A name -> the same, and in lower case.
_NAMES = {name: (name, name.lower()) for name in _WELL_KNOWN}
_NAMES.update([(lower, (lower, lower)) for _, lower in _NAMES.values()])

# Of these Node keeps the first when a sender repeats them; nothing depends on them here.
_KEEP_FIRST = frozenset(('content-type', 'user-agent', 'referer', 'server', 'location', 'retry-after'))


def is_token(text: str) -> bool:
    """Whether ``text`` is a token (RFC 9110 section 5.6.2), as header names and sub-protocols must be."""
    return _is_token(text) is not None


class Headers(dict[str, str]):
    """Header names in lower case -> values, like ``headers`` of a message in Node.

    Look-ups take any case. The values of a repeated header are joined with ``', '``, those of ``cookie`` with ``'; '``.
    """

    __slots__ = ()

    def __missing__(self, name: str) -> str:
        lower = name.lower()
        if lower == name:
            raise KeyError(name)
        return self[lower]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and super().__contains__(name.lower()))

    @overload
    def get(self, name: str, default: None = None, /) -> Optional[str]: ...
    @overload
    def get(self, name: str, default: str, /) -> str: ...
    @overload
    def get(self, name: str, default: _T, /) -> Union[str, _T]: ...
    def get(self, name: str, default: object = None, /) -> object:
        return super().get(name.lower(), default)


class Request:
    """A request head, with the attributes of Node's ``http.IncomingMessage``. Users may set attributes of their own.

    ``url`` is the request target as sent. ``connection``, also ``socket`` and ``client``, is the socket it came over.
    """

    if TYPE_CHECKING and OWN_ATTRIBUTES:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    __slots__ = ('__dict__', '__weakref__', '_connection', 'headers', 'httpVersion', 'method', 'rawHeaders', 'url')

    def __init__(self, method: str, url: str, httpVersion: str, headers: Headers, rawHeaders: list[str]) -> None:
        self.method: str = method
        self.url: str = url
        self.httpVersion: str = httpVersion
        self.headers: Headers = headers
        #: Names and values in turn, as sent.
        self.rawHeaders: list[str] = rawHeaders
        self._connection: Any = None

    @property
    def connection(self) -> Any:
        """Where it came from, as Node's ``net.Socket``; made when somebody asks for it, from the server's stream."""
        return getattr(self._connection, 'face', self._connection)

    @connection.setter
    def connection(self, connection: Any) -> None:
        self._connection = connection

    @property
    def socket(self) -> Any:
        return self.connection

    @property
    def client(self) -> Any:
        return self.connection

    @property
    def path(self) -> str:
        """The path of ``url``, percent-encoded as sent, without the query."""
        return _path_and_query(self.url)[0]

    @property
    def query(self) -> str:
        """What follows the ``?`` in ``url``, percent-encoded as sent; '' if nothing does."""
        return _path_and_query(self.url)[1]

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies (RFC 6265 section 5.4), made anew each time. Anything that isn't one is left out.

        Of two with the same name, the first counts: browsers send the one with the longer path first.
        """
        cookies: dict[str, str] = {}
        for pair in self.headers.get('cookie', '').split(';'):
            name, value = _cookie(pair)
            if name:
                cookies.setdefault(name, value)
        return cookies

    @property
    def environ(self) -> dict[str, Any]:
        """The request as a WSGI environ (PEP 3333), made anew each time, for Flask, Django and others to read.

        Headers with an underscore in their names are left out: they would pass for those with a hyphen.
        """
        peer = self._connection
        encrypted = bool(getattr(peer, 'encrypted', False))
        path, query = _path_and_query(self.url)
        environ = {
            'REQUEST_METHOD': self.method,
            'SCRIPT_NAME': '',
            'PATH_INFO': unquote_to_bytes(path).decode('latin-1'),
            'QUERY_STRING': query,
            'REQUEST_URI': self.url,
            'SERVER_PROTOCOL': f'HTTP/{self.httpVersion}',
            'SERVER_NAME': getattr(peer, 'localAddress', None) or 'localhost',
            'SERVER_PORT': str(getattr(peer, 'localPort', None) or (443 if encrypted else 80)),
            'wsgi.version': (1, 0),
            'wsgi.url_scheme': 'https' if encrypted else 'http',
            'wsgi.input': io.BytesIO(),
            'wsgi.errors': sys.stderr,
            'wsgi.multithread': True,
            'wsgi.multiprocess': False,
            'wsgi.run_once': False,
        }
        if getattr(peer, 'remoteAddress', None):
            environ['REMOTE_ADDR'] = peer.remoteAddress
        if getattr(peer, 'remotePort', None):
            environ['REMOTE_PORT'] = str(peer.remotePort)
        for name, value in self.headers.items():
            if '_' not in name:
                key = name.upper().replace('-', '_')
                environ[key if key in _NOT_PREFIXED else f'HTTP_{key}'] = value
        return environ


#: The headers that WSGI, as CGI before it, knows without ``HTTP_``.
_NOT_PREFIXED = frozenset(('CONTENT_TYPE', 'CONTENT_LENGTH'))


def _path_and_query(url: str) -> tuple[str, str]:
    """Of a request target, without the fragment; also of an absolute URL (RFC 9112 section 3.2.2)."""
    absolute = _match_scheme_and_authority(url)
    relative = url[absolute.end() :] if absolute else url
    path, _, query = relative.partition('#')[0].partition('?')
    return path or '/', query


def _cookie(pair: str) -> tuple[str, str]:
    """Name and value; without a name, it is none."""
    name, equals, value = pair.partition('=')
    return name.strip(' \t') if equals else '', _unquote_cookie(value.strip(' \t'))


def _unquote_cookie(value: str) -> str:
    """What stands between quotes, as :mod:`http.cookies` writes it; that of Python 3.12 and before takes quadratic time
    to read it."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _sub_escapes(_unescape, value[1:-1])


def _unescape(match: re.Match[str]) -> str:
    octal, character = match.groups()
    return chr(int(octal, 8)) if octal else character


class Response:
    """A response, with the attributes of Node's ``http.IncomingMessage``."""

    def __init__(
        self, statusCode: int, statusMessage: str, httpVersion: str, headers: Headers, rawHeaders: list[str]
    ) -> None:
        self.statusCode: int = statusCode
        self.statusMessage: str = statusMessage
        self.httpVersion: str = httpVersion
        self.headers: Headers = headers
        #: Names and values in turn, as sent.
        self.rawHeaders: list[str] = rawHeaders
        #: Of a response that refuses the handshake, 64 KiB at most.
        self.body: bytes = b''
        #: Whether ``body`` is all of it.
        self.complete: bool = False

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that ``Set-Cookie`` headers set, without their attributes (RFC 6265 section 4.1), made anew each
        time. Of two with the same name, the last counts. Anything that isn't one is left out."""
        names, values = self.rawHeaders[::2], self.rawHeaders[1::2]
        pairs = [value.partition(';')[0] for name, value in zip(names, values) if name.lower() == 'set-cookie']
        cookies = dict(map(_cookie, pairs))
        cookies.pop('', None)
        return cookies


class _HeadParser:
    """What request and response heads have in common: where they end, and their header lines."""

    #: Headers that a head may hold only once, in lower case.
    _single: frozenset[str]

    def __init__(self) -> None:
        #: The bytes that followed the head.
        self.rest: bytes = b''
        self._buffer = bytearray()
        #: So many bytes of it are lines; the last of them is not the first half of a CRLF.
        self._checked = 0

    def _take(self, data: bytes) -> Optional[list[str]]:
        """The lines of the head, ``None`` while it is incomplete. Takes linear time, however the bytes are cut."""
        buffer = self._buffer
        room = MAX_HEAD - len(buffer)
        buffer += data[:room]
        end = buffer.find(b'\r\n\r\n', max(0, self._checked - 2))  # it may lie across two chunks
        stop = len(buffer) if end < 0 else end + 4
        self._check_lines(stop)
        if end >= 0:
            self.rest = bytes(buffer[stop:]) + data[room:]
            self._buffer = bytearray()
            self._checked = 0
            return buffer[:end].decode('latin-1').split('\r\n')
        if stop == MAX_HEAD:
            raise self._too_long()
        return None

    def _check_lines(self, stop: int) -> None:
        match = _match_lines(self._buffer, self._checked, stop)
        assert match  # if only nothing
        good = match.end()
        if good < stop:
            raise self._error(f'invalid byte 0x{self._buffer[good]:02x} at offset {good}')
        self._checked = stop - self._buffer.endswith(b'\r', 0, stop)

    def _error(self, message: str, status: int = 400) -> HandshakeError:
        return HandshakeError(message, status)

    def _too_long(self) -> HandshakeError:
        return self._error(f'head is longer than {MAX_HEAD} bytes', 431)

    def _fields(self, lines: list[str]) -> tuple[Headers, list[str]]:
        """Parse header lines (RFC 9112 section 5)."""
        if len(lines) > MAX_HEADERS:
            raise self._error(f'more than {MAX_HEADERS} headers', 431)
        headers: dict[str, str] = {}
        raw: list[str] = []
        for line in lines:
            name, colon, value = line.partition(':')
            # Of a folded line, and with blanks before the colon, it is no token (RFC 9112 sections 5.1 and 5.2).
            if not colon or not is_token(name):
                raise self._error(f'invalid header line {len(raw) // 2 + 1}')
            name, key = _NAMES.get(name) or (name, name.lower())
            value = value.strip(' \t')
            raw += (name, value)
            headers[key] = value if key not in headers else self._combine(key, headers[key], value)
        if not _is_content_length(headers.get('content-length', '0')):
            raise self._error('invalid Content-Length header')
        return Headers(headers), raw

    def _combine(self, key: str, first: str, second: str) -> str:
        if key in self._single:
            raise self._error(f'duplicate {key} header')
        if key in _KEEP_FIRST:
            return first
        return first + ('; ' if key == 'cookie' else ', ') + second


class RequestParser(_HeadParser):
    """Parses one request head. If that is wrong, it raises HandshakeError with the status to answer with."""

    #: The method of the request, as soon as it is known; also of one with an error further on.
    method: Optional[str] = None

    # RFC 9112 sections 3.2 and 6.3, RFC 6455 section 11.3. Of two origins or credentials none can be trusted.
    _single = frozenset((
        'host', 'content-length', 'authorization', 'proxy-authorization', 'origin', 'sec-websocket-origin',
        'sec-websocket-key', 'sec-websocket-key1', 'sec-websocket-key2', 'sec-websocket-version',
    ))  # fmt: skip

    def feed(self, data: bytes) -> Optional[Request]:
        """Add bytes; return the request once its head is complete, ``None`` before.

        Then ``rest`` holds the bytes that followed, and the parser is spent.
        Raises HandshakeError with status 400, 414, 431 or 505.
        """
        lines = self._take(data)
        if lines is None:
            return None
        if lines[0] == '' and len(lines) > 1:
            del lines[0]  # RFC 9112 section 2.2: an empty line before the request line
        self.method, url, version = self._request_line(lines[0])
        headers, raw = self._fields(lines[1:])
        return Request(self.method, url, version, headers, raw)

    def _request_line(self, line: str) -> tuple[str, str, str]:
        match = _match_request_line(line)
        if match is None:
            raise self._error('invalid request line')
        method, target, major, minor = match.groups()
        if major != '1':
            raise self._error(f'HTTP version {major}.{minor} is not supported', 505)
        if minor not in '01':
            # RFC 9110 section 2.5 would take it for 1.1; but there is none, and a proxy may take it for something else.
            raise self._error(f'invalid HTTP version {major}.{minor}')
        if len(target) > MAX_TARGET:
            raise self._error(f'request target is longer than {MAX_TARGET} bytes', 414)
        return method, target, f'1.{minor}'

    def _too_long(self) -> HandshakeError:
        # From 2, past an empty line before the request line.
        if self._buffer.find(b'\r\n', 2) < 0:
            return self._error(f'request target is longer than {MAX_TARGET} bytes', 414)
        return super()._too_long()


class ResponseParser(_HeadParser):
    """Parses one response head. If that is wrong, it raises HandshakeError without a status: the peer named none."""

    # RFC 6455 section 11.3.3. Sec-WebSocket-Version may be repeated in responses (section 4.4).
    _single = frozenset(('content-length', 'sec-websocket-accept'))
    rest: bytes

    def __init__(self) -> None:
        super().__init__()
        self._interim = 0

    def feed(self, data: bytes) -> Optional[Response]:
        """Add bytes; return the response once its head is complete, ``None`` before.

        Then ``rest`` holds the bytes that followed, and the parser is spent.
        Interim responses (100 Continue, 103 Early Hints) are passed over (RFC 9110 section 15.2).
        """
        while True:
            self._refuse_other_protocols(data)
            lines = self._take(data)
            if lines is None:
                return None
            response = self._response(lines)
            if response.statusCode >= 200 or response.statusCode == HTTPStatus.SWITCHING_PROTOCOLS:
                return response
            data, self.rest = self.rest, b''
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise self._error(f'more than {MAX_INTERIM} interim responses')

    def _refuse_other_protocols(self, data: bytes) -> None:
        """Refuse a peer that speaks something else from its first bytes on, as it might never send an empty line."""
        seen = bytes(self._buffer[:40] + data[:40])[:40]
        if not seen.startswith(b'HTTP/1.'[: len(seen)]):
            raise self._error(f'not HTTP/1.1 but {seen!r}')

    def _response(self, lines: list[str]) -> Response:
        match = _match_status_line(lines[0])
        if match is None:
            raise self._error(f'invalid status line {lines[0][:40]!r}')
        version, status, reason = match.groups('')
        headers, raw = self._fields(lines[1:])
        return Response(int(status), reason, version, headers, raw)

    def _error(self, message: str, status: int = 400) -> HandshakeError:
        return HandshakeError(f'invalid server response: {message}')


def build_head(start_line: str, lines: Iterable[str]) -> bytes:
    """Build a head from its start line and header lines, all without line ends.

    Raises ValueError naming the line that holds a control character, or a character that latin-1 can't hold:
    with a CR or LF, somebody's data would become a header of its own (RFC 9110 section 5.5); and one that doesn't
    begin with a name and a colon: an empty one would end the head, one that is folded belongs to the one before it.
    """
    head = [start_line, *lines]
    for index, line in enumerate(head):
        check_writable(line)
        if index and not _is_header_line(line):
            raise ValueError(f'invalid header line {line!r}')
    return ('\r\n'.join(head) + '\r\n\r\n').encode('latin-1')


def check_writable(line: str) -> None:
    """Raises ValueError for a line that can't stand in a head."""
    if _find_unwritable(line):
        raise ValueError(f'invalid character in header line {line!r}')


def build_refusal(
    status: int,
    message: str = '',
    headers: Sequence[str] = (),
    name: Optional[str] = None,
    method: Optional[str] = None,
) -> bytes:
    """Build the whole response to a request that is refused; the connection ends after it.

    ``name`` replaces the reason phrase of ``status``; the body is ``message``, or the reason phrase; a request whose
    ``method`` is HEAD gets none (RFC 9110 section 9.3.2). ``headers`` are header lines; they replace built-in ones of
    the same name. Raises ValueError for a status that doesn't exist or doesn't end a request (1xx), and for what can't
    stand in a head.
    """
    if not 200 <= status <= 599:
        raise ValueError(f'not the status of a refusal: {status}')
    reason = _reason(status) if name is None else name
    body = (message or reason).encode()
    given = {line.partition(':')[0].lower() for line in headers}
    built_in = ['Connection: close', 'Content-Type: text/plain; charset=utf-8', f'Content-Length: {len(body)}']
    lines = [line for line in built_in if line.partition(':')[0].lower() not in given]
    head = build_head(f'HTTP/1.1 {status} {reason}', lines + list(headers))
    return head if method == 'HEAD' else head + body


def _reason(status: int) -> str:
    """The standard reason phrase, empty where there is none (RFC 9112 section 4 allows that)."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ''
