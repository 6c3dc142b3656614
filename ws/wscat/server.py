"""``wscat -l``."""

from __future__ import annotations

from ..options import Options
from ..protocol.http import Request
from ..websocket import WebSocket
from ..websocket_server import WebSocketServer
from .connecting import CLOSE_TIMEOUT, milliseconds_of
from .options import UsageError
from .output import described
from .session import Session

_NORMAL_CLOSURE = 1000
_TRY_AGAIN_LATER = 1013


class Server(Session):
    """Has one client at a time."""

    _ends_with_connection = False

    def _start(self) -> None:
        self._is_taken = False  # by a client; known to the loop thread only
        try:
            self._server = WebSocketServer(
                port=self.options.listen,
                host=self.options.host,
                closeTimeout=CLOSE_TIMEOUT,
                pingInterval=milliseconds_of(self.options.ping_interval),
            )
        except (TypeError, ValueError) as error:
            raise UsageError(f'--listen: {error}') from None
        self._server.on('headers', self._on_headers)
        self._server.on('connection', self._admit)
        self._server.on('listening', self._later(self._on_listening))
        self._server.on('error', self._later(self._on_server_error))
        self._server.on('close', self._later(self._on_server_close))

    def _on_listening(self) -> None:
        address = self._server.address()
        if isinstance(address, Options):
            where = '' if self.options.host is None else f' of {address.address}'
            self._output.status(f'Listening on port {address.port}{where} (press CTRL+C to quit)')

    def _on_headers(self, lines: list[str], request: Request) -> None:
        """On the loop thread, with the lines of the answer."""
        detail = self._later(self._output.detail)
        detail(f'< {request.method} {request.url} HTTP/{request.httpVersion}')
        for name, value in zip(request.rawHeaders[::2], request.rawHeaders[1::2]):
            detail(f'< {name}: {value}')
        for line in lines:
            detail(f'> {line}')

    def _admit(self, ws: WebSocket) -> None:
        """On the loop thread."""
        if self._is_taken:
            ws.close(_TRY_AGAIN_LATER, 'wscat talks to one client at a time')
            return
        self._is_taken = True
        ws.on('close', self._release)
        self._attach(ws)
        self._later(self._on_client)(ws)

    def _on_client(self, ws: WebSocket) -> None:
        self._output.status('Client connected')
        self._opened(ws, self.options.execute)

    def _release(self) -> None:
        self._is_taken = False

    def _on_server_error(self, error: Exception) -> None:
        self._complain(described(error))
        self._ended = True

    def _on_server_close(self) -> None:
        self._ended = True

    def _is_connecting(self) -> bool:
        return False  # to listen is what it is there for

    def _close(self) -> None:
        self._server.close(_NORMAL_CLOSURE)
