"""Options as Node's users write them: a dict, or keywords, or both."""

from __future__ import annotations

import difflib
import math
import sys
import warnings
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Optional, Union

from .net.listen import BACKLOG
from .protocol.permessage_deflate import DeflateOptions

#: What ``perMessageDeflate`` may hold, if it is a dict; see the class WebSocket.
DEFLATE_OPTIONS: dict[str, Any] = {
    'serverNoContextTakeover': None,
    'clientNoContextTakeover': None,
    'serverMaxWindowBits': None,
    'clientMaxWindowBits': None,
    'threshold': 1024,
    'zlibDeflateOptions': None,
    'zlibInflateOptions': None,
}
_ZLIB_DEFLATE_OPTIONS: dict[str, Any] = {'level': -1, 'memLevel': 8, 'strategy': 0, 'dictionary': b''}
_ZLIB_INFLATE_OPTIONS: dict[str, Any] = {'dictionary': b''}

#: What clients, servers and a server's ends of connections have in common.
LIMITS: dict[str, Any] = {
    'closeTimeout': 30_000,
    'maxPayload': 100 * 1024 * 1024,
    'maxFragments': 131_072,
    'pingInterval': 0,
    'pingTimeout': 20_000,
    'maxBufferedAmount': 0,
}

#: Client options and their defaults; see the class.
CLIENT_OPTIONS: dict[str, Any] = {
    'protocolVersion': 13,
    'protocol': None,
    'protocols': None,
    'origin': None,
    'host': None,
    'headers': None,
    'auth': None,
    'agent': None,
    'createConnection': None,
    'socketPath': None,
    'lookup': None,
    'family': 0,
    'localAddress': None,
    'localPort': 0,
    'finishRequest': None,
    'handshakeTimeout': 30_000,
    'followRedirects': False,
    'maxRedirects': 10,
    'executor': None,
    **LIMITS,
    'autoPong': True,
    'generateMask': None,
    'perMessageDeflate': True,
    'ca': None,
    'cert': None,
    'pfx': None,
    'key': None,
    'passphrase': None,
    'ciphers': None,
    'minVersion': None,
    'maxVersion': None,
    'rejectUnauthorized': True,
    'servername': None,
    'checkServerIdentity': None,
    'context': None,
}

#: Server options and their defaults; see the class.
SERVER_OPTIONS: dict[str, Any] = {
    'host': '0.0.0.0',
    'port': None,
    'reusePort': False,
    'socketPath': None,
    'socket': None,
    'fd': None,
    'server': None,
    'noServer': False,
    'path': None,
    'verifyClient': None,
    'handleProtocols': None,
    'disableHixie': False,
    'clientTracking': True,
    'WebSocket': None,
    'backlog': BACKLOG,
    'handshakeTimeout': 10_000,
    'executor': None,
    **LIMITS,
    'autoPong': True,
    'perMessageDeflate': False,
    'allowUnmasked': False,
    'cert': None,
    'pfx': None,
    'key': None,
    'passphrase': None,
    'ciphers': None,
    'minVersion': None,
    'maxVersion': None,
    'ca': None,
    'requestCert': False,
    'rejectUnauthorized': True,
    'SNICallback': None,
    'context': None,
}

#: Options of ProxyAgent and their defaults; see the class.
PROXY_OPTIONS: dict[str, Any] = {
    'ca': None,
    'context': None,
    'rejectUnauthorized': True,
}

#: What ``createWebSocketStream`` takes.
DUPLEX_OPTIONS: dict[str, Any] = {
    'readableHighWaterMark': 65_536,
    'writableHighWaterMark': 65_536,
    'highWaterMark': None,
    'timeout': 0,
    'encoding': None,
    'readableObjectMode': False,
    'decodeStrings': True,
    'allowHalfOpen': True,
}

#: Those of a client that reconnects, and their defaults; see the class.
RECONNECTING_OPTIONS: dict[str, Any] = {
    **CLIENT_OPTIONS,
    'minReconnectionDelay': 1000,
    'maxReconnectionDelay': 10_000,
    'reconnectionDelayGrowFactor': 1.3,
    'jitter': 4,
    'minUptime': 5000,
    'connectionTimeout': 4000,
    'maxRetries': math.inf,
    'maxEnqueuedMessages': math.inf,
    'startClosed': False,
    'terminalCodes': None,
}

#: What a server hands to its ends of connections.
SERVER_SIDE_OPTIONS: dict[str, Any] = {
    **LIMITS,
    'autoPong': True,
    'allowUnmasked': False,
}


_NOT_NEEDED = frozenset(('allowSynchronousEvents', 'maxBufferedChunks', 'maxPendingAutoPongs', 'skipUTF8Validation'))
#: Options of ws 8 that would change nothing here: see doc/porting-from-node.md. Accepted silently.
NO_EFFECT: dict[str, frozenset[str]] = {
    'WebSocket': _NOT_NEEDED,
    'WebSocketServer': _NOT_NEEDED,
    'ReconnectingWebSocket': _NOT_NEEDED,
    'perMessageDeflate': frozenset(('concurrencyLimit',)),
}


class Options(dict[str, Any]):
    """A dict whose items can be read as attributes, too: ``options.port`` and ``options['port']``."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def merge(
    owner: str,
    defaults: Mapping[str, Any],
    given: Optional[Mapping[str, Any]],
    keywords: Mapping[str, Any],
    depth: int = 0,
) -> Options:
    """`defaults`, overridden by `given`, overridden by `keywords`; None counts as not given.

    A name that is not an option is ignored, as in Node, but with a warning; `depth` is how many calls this is away from
    the constructor. Raises TypeError if `given` is no mapping.
    """
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f'the options of {owner} must be a dict, not {type(given).__name__}')
    options = Options(defaults)
    for source in (given or {}, keywords):
        for name, value in source.items():
            if name in defaults:
                if value is not None:
                    options[name] = value
            elif name in NO_EFFECT.get(owner, ()):
                _check_not_needed(name, value)
            else:
                _warn_of_unknown(owner, name, defaults, depth)
    return options


def _check_not_needed(name: str, value: object) -> None:
    if name == 'skipUTF8Validation' and value:
        raise ValueError(
            'skipUTF8Validation: text is always checked (RFC 6455 section 8.1), as nothing else can become a str'
        )


def of_call(method: str, known: AbstractSet[str], given: object, depth: int = 0) -> Mapping[str, Any]:
    """The options of one call of `method`. Unknown names are ignored with a warning, as by :func:`merge`, and so is
    anything that is not a mapping; `depth` is how many calls the caller is away from `method`, beyond one."""
    if given is None:
        return {}
    if type(given) is not dict and not isinstance(given, Mapping):  # the second costs more than all else here
        kind = type(given).__name__
        warnings.warn(f'the options of {method} must be a dict, not {kind}: ignored', stacklevel=4 + depth)
        return {}
    if not given.keys() <= known:
        for name in given.keys() - known:
            _warn_of_unknown(method, name, known, depth)
    return given


def _warn_of_unknown(owner: str, name: object, known: Collection[str], depth: int) -> None:
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f'; did you mean {near[0]!r}?' if near else ''
    # Up through merge(), the constructor and what called it: the line that made the object.
    warnings.warn(f'{owner} has no option {name!r}: ignored{hint}', stacklevel=5 + depth)


def milliseconds(options: Options, name: str) -> float:
    """The option `name` as a time. Raises TypeError or ValueError naming it."""
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'{name} must be a number of milliseconds, not {type(value).__name__}')
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f'{name} must be a number of milliseconds, not {value}')
    return value


def count(options: Options, name: str) -> int:
    """The option `name` as a whole number, 0 for no limit. Raises TypeError or ValueError naming it."""
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be an int, not {type(value).__name__}')
    if value < 0:
        raise ValueError(f'{name} must not be negative: {value}')
    return value


def flag(options: Options, name: str) -> bool:
    """The option `name` as a bool. Raises TypeError naming it."""
    value = options[name]
    if not isinstance(value, bool):
        raise TypeError(f'{name} must be a bool, not {type(value).__name__}')
    return value


def text(options: Options, name: str) -> Optional[str]:
    """The option `name` as a str, None if it is not given. Raises TypeError naming it."""
    value = options[name]
    if value is not None and not isinstance(value, str):
        raise TypeError(f'{name} must be a str, not {type(value).__name__}')
    return value


def deflate_options(options: Options, depth: int = 1) -> Optional[DeflateOptions]:
    """The option ``perMessageDeflate``; None if it is off. Raises TypeError or ValueError naming what is wrong. `depth`
    as that of :func:`merge`."""
    value = options.perMessageDeflate
    if isinstance(value, bool):
        return DeflateOptions() if value else None
    if isinstance(value, DeflateOptions):  # of a client that connects again: they have been looked at
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f'perMessageDeflate must be a bool or a dict, not {type(value).__name__}')
    given = merge('perMessageDeflate', DEFLATE_OPTIONS, value, {}, depth=depth)
    deflate = merge('zlibDeflateOptions', _ZLIB_DEFLATE_OPTIONS, given.zlibDeflateOptions, {}, depth=depth)
    inflate = merge('zlibInflateOptions', _ZLIB_INFLATE_OPTIONS, given.zlibInflateOptions, {}, depth=depth)
    return DeflateOptions(
        None if given.serverNoContextTakeover is None else flag(given, 'serverNoContextTakeover'),
        None if given.clientNoContextTakeover is None else flag(given, 'clientNoContextTakeover'),
        _window_bits(given, 'serverMaxWindowBits'),
        _window_bits(given, 'clientMaxWindowBits'),
        count(given, 'threshold'),
        _between(-1, 9, deflate, 'level'),
        _between(1, 9, deflate, 'memLevel'),
        _between(0, 4, deflate, 'strategy'),
        _dictionary(deflate),
        _dictionary(inflate),
    )


def _window_bits(options: Options, name: str) -> Union[bool, int, None]:
    """True is what it would be anyway."""
    value = options[name]
    if value is None or value is True:
        return None
    return False if value is False else _between(8, 15, options, name)


def _between(least: int, most: int, options: Options, name: str) -> int:
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be an int, not {type(value).__name__}')
    if not least <= value <= most:
        raise ValueError(f'{name} must be from {least} to {most}, not {value}')
    return value


def _dictionary(options: Options) -> bytes:
    value = options.dictionary
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f'dictionary must be bytes, not {type(value).__name__}')
    return bytes(value)
