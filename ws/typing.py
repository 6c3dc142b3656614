"""Names for annotations: what options, listeners and callbacks look like to a type checker.

    from ws.typing import MessageFlags, Request, ServerOptions

A listener may take fewer arguments than its event has, or ``this`` before them. What comes after ``this`` is not
checked: its names are the listener's own, and no type says "a first parameter of that name, then any others". If you
expect only text, you may annotate the `data` of ``message`` as str.
"""

from __future__ import annotations

import os
import socketserver
import ssl
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from socket import socket as Socket
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Callable, Literal, Optional, Protocol, TypedDict, TypeVar, Union

from .client.request import ClientRequest
from .net.certificate import Certificate
from .net.lookup import LookupOptions
from .net.tls_context import PEM, Passphrase
from .options import Options
from .protocol.handshake import HeaderFields
from .protocol.http import Request, Response
from .protocol.receiver import MessageFlags
from .protocol.url import URLObject

if TYPE_CHECKING:
    from typing_extensions import Buffer as Buffer
    from typing_extensions import TypeAlias as TypeAlias
    from typing_extensions import Unpack as Unpack

    from .errors import HandshakeError
    from .net.face import Socket as ConnectionSocket
    from .websocket import WebSocket

    #: Whether programs may set attributes of their own on our objects. setup.cfg says no for the package itself: there,
    #: a misspelt attribute has to be an error.
    OWN_ATTRIBUTES: bool

    #: It has a name of its own, since an option has the name of the class.
    WebSocketClass: TypeAlias = type[WebSocket]
    FinishRequest: TypeAlias = Union[
        Callable[[ClientRequest, WebSocket], object], Callable[[ClientRequest], object], 'TakesThis'
    ]
else:
    Buffer, Unpack = Any, Optional  # checkers know them; typing.get_type_hints() only has to find something
    WebSocketClass = type
    FinishRequest = Callable[..., object]

__all__ = [
    'Address',
    'AgentOptions',
    'BinaryType',
    'Certificate',
    'ClientInfo',
    'ClientOptions',
    'ClientRequest',
    'ControlOptions',
    'Data',
    'DuplexOptions',
    'LookupOptions',
    'MessageFlags',
    'Metrics',
    'PerMessageDeflateOptions',
    'ProxyOptions',
    'ReconnectingOptions',
    'Request',
    'Response',
    'SendOptions',
    'ServerOptions',
    'StreamOptions',
    'ZlibDeflateOptions',
    'ZlibInflateOptions',
]

# -- what is given to functions ---------------------------------------------------------------------------------------


class Address(Options):
    """Where a server listens, if that is a port."""

    __slots__ = ()
    address: str
    #: 'IPv4' or 'IPv6'.
    family: str
    port: int


class ClientInfo(Options):
    """What ``verifyClient`` bases its decision on."""

    __slots__ = ()
    origin: Optional[str]
    secure: bool
    req: Request


class AgentOptions(Options):
    """Where an ``agent`` is to connect to."""

    __slots__ = ()
    host: str
    port: int
    secure: bool
    socketPath: Optional[str]
    path: str
    #: How many milliseconds are left of ``handshakeTimeout``; 0: no limit.
    timeout: float


class Metrics(Options):
    """What ``metrics()`` of a server returns. Bytes are those of frames, without opening handshakes."""

    __slots__ = ()
    #: How many are open now, and how many have been opened in all.
    connections: int
    connectionsTotal: int
    #: How many opening handshakes are under way.
    handshakes: int
    #: HTTP status -> how many requests were refused with it.
    refused: dict[int, int]
    #: How many connections have ended before they had a complete request, or an answer.
    abandoned: int
    messagesReceived: int
    messagesSent: int
    bytesReceived: int
    bytesSent: int
    #: Bytes that wait to be sent.
    bufferedBytes: int
    #: By how many milliseconds the loop was late at most, in about the last minute; None until that is measured.
    loopLag: Optional[float]


# -- functions of the user's ------------------------------------------------------------------------------------------


class TakesThis(Protocol):
    """A function whose first parameter is named ``this``."""

    def __call__(self, this: Any, *args: Any, **kwargs: Any) -> object: ...


#: A listener without arguments; a callback, too.
NoListener = Union[Callable[[], object], TakesThis]
TextListener = Union[Callable[[str, MessageFlags], object], Callable[[str], object]]
MessageListener = Union[TextListener, Callable[[bytes, MessageFlags], object], Callable[[bytes], object], NoListener]
ControlListener = Union[Callable[[bytes, MessageFlags], object], Callable[[bytes], object], NoListener]
ErrorListener = Union[Callable[[Exception, Optional[int]], object], Callable[[Exception], object], NoListener]
CloseListener = Union[Callable[[int, str], object], Callable[[int], object], NoListener]
ConnectionListener = Union[Callable[['WebSocket', Request], object], Callable[['WebSocket'], object], NoListener]
RedirectListener = Union[Callable[[str, ClientRequest], object], Callable[[str], object], NoListener]
UnexpectedResponseListener = Union[
    Callable[[ClientRequest, Response], object], Callable[[ClientRequest], object], NoListener
]
UpgradeListener = Union[Callable[[Response], object], NoListener]
HeadersListener = Union[Callable[[list[str], Request], object], Callable[[list[str]], object], NoListener]
ClientErrorListener = Union[
    Callable[['HandshakeError', 'ConnectionSocket', Request], object],
    Callable[['HandshakeError', 'ConnectionSocket'], object],
    Callable[['HandshakeError'], object],
    NoListener,
]
ListenErrorListener = Union[Callable[[OSError], object], NoListener]

#: What is called with None, or with what went wrong.
Callback = Union[Callable[[Optional[Exception]], object], NoListener]


class SendPiece(Protocol):
    """Sends a piece of a message: see ``WebSocket.stream``."""

    def __call__(self, data: Data = ..., final: object = ...) -> object: ...


StreamCallback = Union[
    Callable[[Optional[Exception], SendPiece], object],  # None if there is an error; no type can say that
    TakesThis,
]


class VerifyCallback(Protocol):
    """The answer of a ``verifyClient`` that takes its time."""

    def __call__(
        self,
        ok: object = ...,
        code: Optional[int] = ...,
        name: Optional[str] = ...,
        headers: Optional[Mapping[str, Union[str, int]]] = ...,
    ) -> None: ...


VerifyClient = Union[
    Callable[[ClientInfo, VerifyCallback], object], Callable[[ClientInfo], object], Callable[[], object], TakesThis
]
HandleProtocols = Union[
    Callable[[list[str], Any, Request], Union[str, bool, None]],
    Callable[[list[str], Any], Union[str, bool, None]],
    Callable[[list[str]], Union[str, bool, None]],
    TakesThis,
]


class AgentObject(Protocol):
    """What connects in our place."""

    def addRequest(self, request: Request, options: AgentOptions, /) -> Socket: ...


#: Fills in the key that a frame is masked with.
GenerateMask = Union[Callable[[bytearray], object], NoListener]

Agent = Union[Callable[[Request, AgentOptions], Socket], AgentObject]
CreateConnection = Callable[[AgentOptions], Socket]

#: What a client that reconnects is given as its URL, its sub-protocols and the codes that end it.
URLSource = Union[str, URLObject, Callable[[], Union[str, URLObject]]]
ProtocolSource = Union[str, Sequence[str], Callable[[], Union[str, Sequence[str], None]], None]
TerminalCodes = Union[Callable[[int, str], object], Callable[[int], object]]

# -- data --------------------------------------------------------------------------------------------------------------
#: What ``lookup`` returns, or gives to its callback.
Addresses = Union[str, Mapping[str, Any], Sequence[Union[str, Mapping[str, Any]]]]


class LookupCallback(Protocol):
    """The answer of a ``lookup`` that takes its time."""

    def __call__(self, error: Any = ..., addresses: Optional[Addresses] = ..., family: object = ..., /) -> None: ...


Lookup = Union[
    Callable[[str, LookupOptions, LookupCallback], object],
    Callable[[str, LookupOptions], Addresses],
    Callable[[str], Addresses],
]
CheckServerIdentity = Union[
    Callable[[str, Certificate], Optional[BaseException]],
    Callable[[str], Optional[BaseException]],
    Callable[[], Optional[BaseException]],
]


class ContextCallback(Protocol):
    """The callback of ``SNICallback``, if it takes one."""

    def __call__(self, error: Any = ..., context: Optional[SSLContext] = ..., /) -> None: ...


ServerNameCallback = Union[Callable[[str, ContextCallback], object], Callable[[str], Optional[SSLContext]]]

# -- data -------------------------------------------------------------------------------------------------------------


class Readable(Protocol):
    """An open file, or anything else that is read like one."""

    def read(self, size: int, /) -> Union[str, Buffer, None]: ...


class Array(Protocol):
    """NumPy's arrays: before Python 3.12, no type can say that they are buffers."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


#: What binary messages are handed over as.
BinaryType = Literal['nodebuffer', 'arraybuffer', 'blob', 'fragments']

#: The payload of a ping or pong, a piece of a stream.
Payload = Union[str, Buffer, Array, int, float, None]
#: What ``send`` takes.
Data = Union[Payload, Readable]

# -- options: names and types of what options.py has the defaults of ------------------------------------------------


class ZlibDeflateOptions(TypedDict, total=False):
    level: Optional[int]
    memLevel: Optional[int]
    strategy: Optional[int]
    dictionary: Union[bytes, bytearray, memoryview, None]


class ZlibInflateOptions(TypedDict, total=False):
    dictionary: Union[bytes, bytearray, memoryview, None]


class PerMessageDeflateOptions(TypedDict, total=False):
    concurrencyLimit: Optional[int]  # has no effect
    serverNoContextTakeover: Optional[bool]
    clientNoContextTakeover: Optional[bool]
    serverMaxWindowBits: Union[int, bool, None]
    clientMaxWindowBits: Union[int, bool, None]
    threshold: Optional[int]
    zlibDeflateOptions: Optional[ZlibDeflateOptions]
    zlibInflateOptions: Optional[ZlibInflateOptions]


class NotNeeded(TypedDict, total=False):
    """Options of ws 8 that would change nothing here."""

    allowSynchronousEvents: Optional[bool]
    maxBufferedChunks: Optional[int]
    maxPendingAutoPongs: Optional[int]
    skipUTF8Validation: Optional[Literal[False]]


class Limits(NotNeeded, total=False):
    closeTimeout: Optional[float]
    maxPayload: Optional[int]
    maxFragments: Optional[int]
    pingInterval: Optional[float]
    pingTimeout: Optional[float]
    maxBufferedAmount: Optional[int]
    autoPong: Optional[bool]


class ClientKeywords(Limits, total=False):
    """Options as keywords, where `protocols` is the argument of that name."""

    protocolVersion: Optional[int]
    protocol: Optional[str]
    origin: Optional[str]
    host: Optional[str]
    headers: Optional[HeaderFields]
    auth: Optional[str]
    agent: Optional[Agent]
    createConnection: Optional[CreateConnection]
    socketPath: Union[str, os.PathLike[str], None]
    lookup: Optional[Lookup]
    family: Optional[int]
    localAddress: Optional[str]
    localPort: Optional[int]
    finishRequest: Optional[FinishRequest]
    generateMask: Optional[GenerateMask]
    handshakeTimeout: Optional[float]
    followRedirects: Optional[bool]
    maxRedirects: Optional[int]
    executor: Union[Executor, int, None]
    perMessageDeflate: Union[bool, PerMessageDeflateOptions, None]
    ca: Union[PEM, Sequence[PEM], None]
    cert: Optional[PEM]
    pfx: Union[bytes, os.PathLike[str], None]
    key: Optional[PEM]
    passphrase: Optional[Passphrase]
    ciphers: Optional[str]
    minVersion: Optional[str]
    maxVersion: Optional[str]
    rejectUnauthorized: Optional[bool]
    servername: Optional[str]
    checkServerIdentity: Optional[CheckServerIdentity]
    context: Optional[SSLContext]


class ClientOptions(ClientKeywords, total=False):
    """Options as a dict."""

    protocols: Union[str, Sequence[str], None]


class ReconnectingKeywords(ClientKeywords, total=False):
    """Options as keywords, of a client that reconnects."""

    minReconnectionDelay: Optional[float]
    maxReconnectionDelay: Optional[float]
    reconnectionDelayGrowFactor: Optional[float]
    jitter: Optional[float]
    minUptime: Optional[float]
    connectionTimeout: Optional[float]
    maxRetries: Optional[float]
    maxEnqueuedMessages: Optional[float]
    startClosed: Optional[bool]
    terminalCodes: Union[Iterable[int], TerminalCodes, None]


class ReconnectingOptions(ReconnectingKeywords, total=False):
    """Options as a dict."""

    protocols: ProtocolSource


class ProxyOptions(TypedDict, total=False):
    """Options of ``ProxyAgent``: for TLS to the proxy."""

    ca: Union[PEM, Sequence[PEM], None]
    context: Optional[ssl.SSLContext]
    rejectUnauthorized: Optional[bool]


class ServerOptions(Limits, total=False):
    host: Optional[str]
    port: Union[int, str, None]
    reusePort: Optional[bool]
    socketPath: Union[str, os.PathLike[str], None]
    socket: Optional[Socket]
    fd: Optional[int]
    server: Optional[socketserver.BaseServer]
    noServer: Optional[bool]
    path: Optional[str]
    verifyClient: Optional[VerifyClient]
    handleProtocols: Optional[HandleProtocols]
    disableHixie: Optional[bool]
    clientTracking: Optional[bool]
    WebSocket: Optional[WebSocketClass]
    backlog: Optional[int]
    handshakeTimeout: Optional[float]
    executor: Union[Executor, int, None]
    perMessageDeflate: Union[bool, PerMessageDeflateOptions, None]
    allowUnmasked: Optional[bool]
    cert: Optional[PEM]
    pfx: Union[bytes, os.PathLike[str], None]
    key: Optional[PEM]
    passphrase: Optional[Passphrase]
    ciphers: Optional[str]
    minVersion: Optional[str]
    maxVersion: Optional[str]
    ca: Union[PEM, Sequence[PEM], None]
    requestCert: Optional[bool]
    rejectUnauthorized: Optional[bool]
    SNICallback: Optional[ServerNameCallback]
    context: Optional[SSLContext]


class ControlOptions(TypedDict, total=False):
    """Options of ``ping`` and ``pong``."""

    mask: Optional[bool]


class StreamOptions(ControlOptions, total=False):
    """Options of ``stream``."""

    binary: Union[bool, MessageFlags, None]
    compress: bool


class SendOptions(StreamOptions, total=False):
    """Options of ``send``."""

    fin: bool


class DuplexKeywords(TypedDict, total=False):
    """Options of ``createWebSocketStream`` that don't change what type it returns."""

    readableHighWaterMark: Optional[int]
    writableHighWaterMark: Optional[int]
    highWaterMark: Optional[int]
    timeout: Optional[float]
    decodeStrings: Optional[bool]
    allowHalfOpen: Optional[bool]


class DuplexOptions(DuplexKeywords, total=False):
    encoding: Optional[str]
    readableObjectMode: Optional[bool]


class TextDuplexOptions(DuplexKeywords):
    encoding: str


class MessageDuplexOptions(DuplexKeywords):
    readableObjectMode: Literal[True]


class FrameOptions(TypedDict, total=False):
    """Options of the class ``Sender``."""

    fin: Optional[bool]
    mask: Optional[bool]
    binary: Optional[bool]


_Event = TypeVar('_Event', contravariant=True)


class HandlesEvent(Protocol[_Event]):
    """What ``addEventListener`` takes besides functions."""

    def handleEvent(self, event: _Event, /) -> object: ...


class ListenerOptions(TypedDict, total=False):
    """Options of ``addEventListener``."""

    once: bool
