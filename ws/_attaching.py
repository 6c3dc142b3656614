"""The types of ``on`` and its sisters, one overload for each event. For type checkers alone: nothing imports this.

TakesThis and TextListener have overloads of their own, although the listeners of each event comprise them: so checkers
know what `this` is in a lambda, and take data for text unless that can't be.
"""

from __future__ import annotations

from typing import Any, Callable, Literal, Protocol, TypeVar, overload

from .typing import (
    ClientErrorListener,
    CloseListener,
    ConnectionListener,
    ControlListener,
    ErrorListener,
    HeadersListener,
    ListenErrorListener,
    MessageListener,
    NoListener,
    RedirectListener,
    TakesThis,
    TextListener,
    UnexpectedResponseListener,
    UpgradeListener,
)

_E = TypeVar('_E', covariant=True)
_F = TypeVar('_F', bound=Callable[..., Any])
_No = TypeVar('_No', bound=NoListener)
_Message = TypeVar('_Message', bound=MessageListener)
_Control = TypeVar('_Control', bound=ControlListener)
_Error = TypeVar('_Error', bound=ErrorListener)
_Close = TypeVar('_Close', bound=CloseListener)
_Redirect = TypeVar('_Redirect', bound=RedirectListener)
_Unexpected = TypeVar('_Unexpected', bound=UnexpectedResponseListener)
_Upgrade = TypeVar('_Upgrade', bound=UpgradeListener)
_Connection = TypeVar('_Connection', bound=ConnectionListener)
_Headers = TypeVar('_Headers', bound=HeadersListener)
_ClientError = TypeVar('_ClientError', bound=ClientErrorListener)
_ListenError = TypeVar('_ListenError', bound=ListenErrorListener)


class AttachToWebSocket(Protocol[_E]):
    """``addListener`` and its sisters."""

    @overload
    def __call__(
        self,
        event: Literal[
            'open', 'message', 'ping', 'pong', 'drain', 'error', 'close', 'redirect', 'unexpected-response', 'upgrade'
        ],
        listener: TakesThis,
        /,
    ) -> _E: ...
    @overload
    def __call__(self, event: Literal['open', 'drain'], listener: NoListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['message'], listener: TextListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['message'], listener: MessageListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['ping', 'pong'], listener: ControlListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['error'], listener: ErrorListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['close'], listener: CloseListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['redirect'], listener: RedirectListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['unexpected-response'], listener: UnexpectedResponseListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['upgrade'], listener: UpgradeListener, /) -> _E: ...


class OnWebSocket(Protocol[_E]):
    """``on`` and ``once``. With one argument, a decorator; that takes events of the user's own, too."""

    @overload
    def __call__(
        self,
        event: Literal[
            'open', 'message', 'ping', 'pong', 'drain', 'error', 'close', 'redirect', 'unexpected-response', 'upgrade'
        ],
        f: TakesThis,
        /,
    ) -> _E: ...
    @overload
    def __call__(self, event: Literal['open', 'drain'], f: NoListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['message'], f: TextListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['message'], f: MessageListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['ping', 'pong'], f: ControlListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['error'], f: ErrorListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['close'], f: CloseListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['redirect'], f: RedirectListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['unexpected-response'], f: UnexpectedResponseListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['upgrade'], f: UpgradeListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['open', 'drain'], /) -> Callable[[_No], _No]: ...
    @overload
    def __call__(self, event: Literal['message'], /) -> Callable[[_Message], _Message]: ...
    @overload
    def __call__(self, event: Literal['ping', 'pong'], /) -> Callable[[_Control], _Control]: ...
    @overload
    def __call__(self, event: Literal['error'], /) -> Callable[[_Error], _Error]: ...
    @overload
    def __call__(self, event: Literal['close'], /) -> Callable[[_Close], _Close]: ...
    @overload
    def __call__(self, event: Literal['redirect'], /) -> Callable[[_Redirect], _Redirect]: ...
    @overload
    def __call__(self, event: Literal['unexpected-response'], /) -> Callable[[_Unexpected], _Unexpected]: ...
    @overload
    def __call__(self, event: Literal['upgrade'], /) -> Callable[[_Upgrade], _Upgrade]: ...
    @overload
    def __call__(self, event: str, /) -> Callable[[_F], _F]: ...


class AttachToServer(Protocol[_E]):
    """As above. Any other name is taken for a ``connection<url>``."""

    @overload
    def __call__(self, event: str, listener: TakesThis, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['listening', 'close'], listener: NoListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['headers'], listener: HeadersListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['wsClientError'], listener: ClientErrorListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['error'], listener: ListenErrorListener, /) -> _E: ...
    @overload
    def __call__(self, event: str, listener: ConnectionListener, /) -> _E: ...


class OnServer(Protocol[_E]):
    """As above."""

    @overload
    def __call__(self, event: str, f: TakesThis, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['listening', 'close'], f: NoListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['headers'], f: HeadersListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['wsClientError'], f: ClientErrorListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['error'], f: ListenErrorListener, /) -> _E: ...
    @overload
    def __call__(self, event: str, f: ConnectionListener, /) -> _E: ...
    @overload
    def __call__(self, event: Literal['listening', 'close'], /) -> Callable[[_No], _No]: ...
    @overload
    def __call__(self, event: Literal['headers'], /) -> Callable[[_Headers], _Headers]: ...
    @overload
    def __call__(self, event: Literal['wsClientError'], /) -> Callable[[_ClientError], _ClientError]: ...
    @overload
    def __call__(self, event: Literal['error'], /) -> Callable[[_ListenError], _ListenError]: ...
    @overload
    def __call__(self, event: Literal['connection'], /) -> Callable[[_Connection], _Connection]: ...
    @overload
    def __call__(self, event: str, /) -> Callable[[_F], _F]: ...
