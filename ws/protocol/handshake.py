"""The opening handshake of protocol versions 8 and 13, both sides (RFC 6455 section 4)."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1
from typing import Any, Optional, Union

from ..errors import HandshakeError
from .extensions import format_extension, parse_extensions
from .http import Request, Response, build_head, check_writable, is_token
from .permessage_deflate import (
    EXTENSION,
    DeflateOptions,
    PerMessageDeflate,
    accept_offer,
    agreed,
    check_answer,
    make_offer,
)
from .url import Address

#: RFC 6455 section 1.3
GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
#: The protocol versions both sides speak: RFC 6455, and the drafts that ws 0.4.31 calls version 8.
VERSIONS = (8, 13)

# RFC 6455 section 4.1: 16 bytes in base64. No bits are set that stand for nothing (RFC 4648 section 3.5).
_is_key = re.compile('[A-Za-z0-9+/]{21}[AQgw]==').fullmatch
# Clients of version 8 are old, and not all of them keep to 16 bytes: that of ws 0.4.31 sends 15.
_is_key_of_version_8 = re.compile(
    '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)'
).fullmatch

# RFC 3986 sections 3.2.2 and 3.2.3. It may be empty (RFC 9112 section 3.2).
_AUTHORITY = r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
_is_authority = re.compile(_AUTHORITY).fullmatch
# RFC 9112 sections 3.2.1 and 3.2.2; the other two forms are not for GET.
_is_target = re.compile(rf'/.*|(?:https?|wss?)://(?=[^/?]){_AUTHORITY}(?:[/?].*)?', re.IGNORECASE).fullmatch


#: What a header may hold; and headers: a dict or what else has its ``items()``, or pairs.
HeaderValue = Union[str, float, Sequence[Union[str, float]]]
HeaderFields = Union[Mapping[str, HeaderValue], Iterable[tuple[str, HeaderValue]]]


def accept_key(key: str) -> str:
    """The ``Sec-WebSocket-Accept`` that answers a ``Sec-WebSocket-Key`` (RFC 6455 section 4.2.2)."""
    return b64encode(sha1((key + GUID).encode('latin-1')).digest()).decode('ascii')


class ClientHandshake:
    """The client's side: builds the request, checks the response.

    ``headers`` are added to the request and replace what it has built in, in any case;
    a list as value gives one line for each item, an empty one takes the header away. They are a dict, or pairs.
    ``host`` replaces the ``Host`` header, if ``headers`` does not.
    ``origin`` replaces ``Origin``, or goes into ``Sec-WebSocket-Origin`` with version 8, whatever ``headers`` say.
    With ``deflate`` permessage-deflate is offered.

    Raises ValueError for another version than 8 and 13, for ``protocols`` that are no tokens or not different,
    and for what can't stand in a header; TypeError for headers of other types.
    """

    def __init__(
        self,
        *,
        address: Address,
        version: int = 13,
        protocols: Sequence[str] = (),
        origin: Optional[str] = None,
        host: Optional[str] = None,
        headers: Optional[HeaderFields] = None,
        deflate: Optional[DeflateOptions] = None,
    ) -> None:
        if version not in VERSIONS:
            raise ValueError('unsupported protocol version')
        _check_protocols(protocols)
        self.protocols: tuple[str, ...] = tuple(protocols)
        self._deflate_options = deflate
        #: The extension, if ``check`` has found that the server accepts it.
        self.deflate: Optional[PerMessageDeflate] = None
        #: ``Sec-WebSocket-Key``, new for each handshake (RFC 6455 section 4.1).
        self.key: str = b64encode(os.urandom(16)).decode('ascii')

        #: Where it goes to.
        self.address: Address = address
        #: The header lines of the request; whoever changes them does so before it is sent.
        self.fields: Fields = Fields()
        fields = self.fields
        fields.set('Connection', 'Upgrade')
        fields.set('Upgrade', 'websocket')
        fields.set('Host', address.host_header if host is None else host)
        # Not an origin as RFC 6454 has it; servers that check it against ws 0.4.31's clients expect this text.
        fields.set('Origin', address.host_header)
        fields.set('Sec-WebSocket-Version', str(version))
        fields.set('Sec-WebSocket-Key', self.key)
        if address.authorization is not None:
            fields.set('Authorization', address.authorization)
        if protocols:
            fields.set('Sec-WebSocket-Protocol', ', '.join(protocols))
        if deflate is not None:
            fields.set('Sec-WebSocket-Extensions', format_extension(make_offer(deflate).extension()))
        for name, value in _header_fields(headers):
            fields.set(name, value)
        if origin is not None:
            fields.set('Origin' if version == 13 else 'Sec-WebSocket-Origin', origin)

    @property
    def request(self) -> bytes:
        """The head to send."""
        return build_head(f'GET {self.address.target} HTTP/1.1', self.fields.lines())

    def check(self, response: Response) -> Optional[str]:
        """Return the sub-protocol the server selected, if any (RFC 6455 section 4.1, the client's checks 1 to 6).

        Raises HandshakeError, with ``status`` if the server did not switch protocols.
        """
        if response.statusCode != 101:
            raise HandshakeError(f'unexpected server response ({response.statusCode})', response.statusCode)
        headers = response.headers
        if headers.get('upgrade', '').lower() != 'websocket':
            raise HandshakeError('Invalid Upgrade header')
        if not _has_upgrade_token(headers.get('connection', '')):
            raise HandshakeError('Invalid Connection header')
        if headers.get('sec-websocket-accept') != accept_key(self.key):
            raise HandshakeError('invalid server key')
        # An empty header counts as none: that is how ws 0.4.31 servers write it.
        protocol = self._check_protocol(headers.get('sec-websocket-protocol') or None)
        self.deflate = self._check_extensions(headers.get('sec-websocket-extensions'))
        return protocol

    def _check_extensions(self, header: Optional[str]) -> Optional[PerMessageDeflate]:
        if header is None:
            return None
        if self._deflate_options is None:
            raise HandshakeError('Server sent a Sec-WebSocket-Extensions header but no extension was requested')
        try:
            extensions = parse_extensions(header)
            if any(extension.name != EXTENSION for extension in extensions):
                raise HandshakeError('Server indicated an extension that was not requested')
            [extension] = extensions  # RFC 7692 section 5: of several offers, one at most is accepted
            return agreed(self._deflate_options, check_answer(self._deflate_options, extension), False)
        except ValueError as error:
            raise HandshakeError('Invalid Sec-WebSocket-Extensions header') from error

    def _check_protocol(self, protocol: Optional[str]) -> Optional[str]:
        if protocol is not None and not self.protocols:
            raise HandshakeError('server sent a subprotocol even though none requested')
        if protocol is None and self.protocols:
            # RFC 6455 would go on; so far no version of Node's ws does.
            raise HandshakeError('server sent no subprotocol even though requested')
        if protocol is not None and protocol not in self.protocols:
            raise HandshakeError('server responded with an invalid protocol')
        return protocol


class ServerHandshake:
    """The server's side of a request that was found right."""

    def __init__(
        self,
        version: int,
        key: str,
        origin: Optional[str],
        protocols: list[str],
        deflate: Optional[PerMessageDeflate] = None,
    ) -> None:
        #: 8 or 13
        self.version = version
        self.key = key
        #: Where the page comes from whose script connects, if the client is a browser (RFC 6455 section 10.2).
        self.origin = origin
        #: The sub-protocols the client offers, in its order.
        self.protocols = protocols
        #: The extension, if the client offers it and we want it.
        self.deflate = deflate

    def response_lines(self, protocol: Optional[str]) -> list[str]:
        """The lines of the response's head, its status line first, for ``build_head``.

        Raises ValueError if ``protocol`` is no token; whether it was offered is the caller's business.
        """
        lines = [
            'HTTP/1.1 101 Switching Protocols',
            'Upgrade: websocket',
            'Connection: Upgrade',
            f'Sec-WebSocket-Accept: {accept_key(self.key)}',
        ]
        if protocol:
            _check_protocols([protocol])
            lines.append(f'Sec-WebSocket-Protocol: {protocol}')
        if self.deflate is not None:
            lines.append(f'Sec-WebSocket-Extensions: {format_extension(self.deflate.parameters.extension())}')
        return lines


def check_upgrade(request: Request) -> None:
    """Check what every WebSocket request has, of whatever version (RFC 6455 section 4.2.1, points 1 to 4).

    Raises HandshakeError with the status to refuse it with.
    """
    headers = request.headers
    if 'upgrade' not in headers:
        # RFC 9110 sections 15.5.22 and 7.8: a response 426 says what to upgrade to, and that this is for the next hop.
        raise HandshakeError('Upgrade Required', 426, ['Connection: close, Upgrade', 'Upgrade: websocket'])
    if request.method != 'GET':
        raise HandshakeError('Invalid HTTP method', 405, ['Allow: GET'])
    if request.httpVersion == '1.0':
        raise HandshakeError('Invalid HTTP version', 400)
    if not _is_target(request.url):
        raise HandshakeError('Invalid request target', 400)
    if 'host' not in headers:
        raise HandshakeError('Missing Host header', 400)
    if not _is_authority(headers['host']):
        raise HandshakeError('Invalid Host header', 400)
    if 'transfer-encoding' in headers or int(headers.get('content-length', '0')):
        # A proxy that knows of it and a server that doesn't would not agree on where the frames begin.
        raise HandshakeError('A request for a WebSocket has no body', 400)
    if headers['upgrade'].lower() != 'websocket':
        raise HandshakeError('Invalid Upgrade header', 400)
    if not _has_upgrade_token(headers.get('connection', '')):
        raise HandshakeError('Invalid Connection header', 400)


def check_request(request: Request, deflate: Optional[DeflateOptions] = None) -> ServerHandshake:
    """Check a request for a connection of version 8 or 13 (RFC 6455 section 4.2.1).

    With ``deflate``, an offer of permessage-deflate is accepted.
    Raises HandshakeError with the status to refuse it with.
    """
    check_upgrade(request)
    headers = request.headers
    version = headers.get('sec-websocket-version')
    key = headers.get('sec-websocket-key', '')
    if not (_is_key_of_version_8 if version == '8' else _is_key)(key):
        raise HandshakeError('Missing or invalid Sec-WebSocket-Key header', 400)
    if version not in ('8', '13'):
        # RFC 6455 section 4.4: with the versions we do speak.
        raise HandshakeError('Missing or invalid Sec-WebSocket-Version header', 400, ['Sec-WebSocket-Version: 13, 8'])
    origin = headers.get('origin' if version == '13' else 'sec-websocket-origin')
    protocols = _parse_protocols(headers.get('sec-websocket-protocol'))
    extension = _accept_extensions(headers.get('sec-websocket-extensions'), deflate)
    return ServerHandshake(int(version), key, origin, protocols, extension)


def _parse_protocols(value: Optional[str]) -> list[str]:
    if value is None:
        return []
    protocols = [item.strip(' \t') for item in value.split(',')]
    try:
        _check_protocols(protocols)
    except ValueError:
        raise HandshakeError('Invalid Sec-WebSocket-Protocol header', 400) from None
    return protocols


def _accept_extensions(header: Optional[str], deflate: Optional[DeflateOptions]) -> Optional[PerMessageDeflate]:
    if header is None or deflate is None:
        return None
    try:
        parameters = accept_offer(deflate, parse_extensions(header))
    except ValueError as error:
        raise HandshakeError('Invalid or unacceptable Sec-WebSocket-Extensions header', 400) from error
    return None if parameters is None else agreed(deflate, parameters, True)


def _check_protocols(protocols: Sequence[str]) -> None:
    """Tokens, and no two the same (RFC 6455 section 4.1, point 10)."""
    seen = set()
    for protocol in protocols:
        if protocol in seen or not is_token(protocol):
            raise ValueError(f'An invalid or duplicated subprotocol was specified: {protocol!r}')
        seen.add(protocol)


def _has_upgrade_token(connection: str) -> bool:
    return any(token.strip(' \t').lower() == 'upgrade' for token in connection.split(','))


def snapshot(headers: Any) -> Optional[dict[str, Any]]:
    """What ``headers`` are now, for several handshakes. Raises TypeError as :class:`ClientHandshake` does."""
    return None if headers is None else dict(_header_fields(headers))


def _header_fields(headers: Any) -> Iterable[tuple[str, Any]]:
    """Names and values. Raises TypeError for what has none."""
    if headers is None:
        return []
    if isinstance(headers, Mapping):
        return headers.items()
    together: dict[str, tuple[str, list[Any]]] = {}  # pairs may have a name more than once: so many lines
    for pair in _pairs(headers):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise TypeError('headers must be a dict, or a list of pairs of a name and a value')
        name, value = pair
        together.setdefault(name.lower(), (name, []))[1].extend(_values(value))
    return together.values()


def _pairs(headers: Any) -> Iterable[Any]:
    pairs = headers.items() if hasattr(headers, 'items') else headers
    if not isinstance(pairs, Iterable) or isinstance(pairs, (str, bytes)):
        raise TypeError(f'headers must be a dict, or a list of pairs of a name and a value, not {type(pairs).__name__}')
    return pairs


def _values(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


class Fields:
    """Header lines to be, in the order they were first set, one name in whatever case only once."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[str, HeaderValue]] = {}  # name in lower case -> as it was set

    def set(self, name: str, value: HeaderValue) -> None:
        """A list as value makes one line of each of its items. Raises TypeError or ValueError naming what is wrong."""
        if not isinstance(name, str):
            raise TypeError(f'the name of a header must be a str, not {type(name).__name__}')
        if not is_token(name):
            raise ValueError(f'invalid header name {name!r}')
        for item in _values(value):
            if isinstance(item, bool) or not isinstance(item, (str, int, float)):
                raise TypeError(f'header {name}: value must be a str or a number, not {type(item).__name__}')
            check_writable(f'{name}: {item}')
        self._values[name.lower()] = name, list(value) if isinstance(value, (list, tuple)) else value

    def get(self, name: str) -> Optional[HeaderValue]:
        """As it was set."""
        return self._values.get(name.lower(), (name, None))[1]

    def remove(self, name: str) -> None:
        self._values.pop(name.lower(), None)

    def items(self) -> list[tuple[str, HeaderValue]]:
        """Names and values, as they were set."""
        return list(self._values.values())

    def lines(self) -> list[str]:
        return [f'{name}: {item}' for name, value in self._values.values() for item in _values(value)]
