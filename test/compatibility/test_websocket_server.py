"""Items 93 to 111 of the original's suite: the server's options, events and clients."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from compatibility.peers import Pages, http_server, on_http, serves_pages
from support import Log, Waiter, client, end, server, wait_for

from ws import WebSocket, WebSocketError, WebSocketServer

# -- construction -----------------------------------------------------------------------------------------------------


def test_093_without_options_it_raises() -> None:
    with pytest.raises(TypeError, match='`port` or a `server` must be provided'):
        WebSocketServer()


def test_094_with_empty_options_it_raises() -> None:
    with pytest.raises(TypeError, match='`port` or a `server` must be provided'):
        WebSocketServer({})


def test_095_no_server_is_enough() -> None:
    wss = WebSocketServer({'noServer': True})
    wss.close()
    wait_for(wss, 'close')


def test_096_a_port_that_cannot_be_had() -> None:
    """One that is taken: a privileged one, as there, is no problem for root."""
    with socket.create_server(('127.0.0.1', 0)) as taken:
        wss = WebSocketServer({'host': '127.0.0.1', 'port': taken.getsockname()[1]})
        (error,) = wait_for(wss, 'error')
        assert isinstance(error, OSError)


def test_097_a_port_of_its_own() -> None:
    with server() as wss:
        ws = client(wss)
        assert isinstance(wait_for(wss, 'connection')[0], WebSocket)
        end(ws)


def test_098_an_http_server_that_listens() -> None:
    with http_server() as httpd, on_http(httpd) as wss:
        connections = Log(wss, 'connection')
        ws = WebSocket(f'ws://127.0.0.1:{httpd.server_port}')
        connections.get()
        end(ws)


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='this platform has no UNIX sockets')
def test_099_an_http_server_on_a_unix_socket(tmp_path: Path) -> None:
    with http_server(unix=tmp_path / 'socket') as httpd, on_http(httpd) as wss:
        connections = Log(wss, 'connection')
        ws = WebSocket(f'ws+unix://{tmp_path / "socket"}')
        connections.get()
        end(ws)


def test_100_the_event_of_a_path() -> None:
    with server() as wss:
        connections = Log(wss, 'connection/endpointName')
        ws = client(wss, '/endpointName')
        connections.get()
        end(ws)


def test_101_two_paths_on_one_http_server() -> None:
    with http_server() as httpd, on_http(httpd, path='/wss1') as wss1, on_http(httpd, path='/wss2') as wss2:
        connections = Waiter()
        wss1.on('connection', lambda ws: connections('wss1'))
        wss2.on('connection', lambda ws: connections('wss2'))
        for path, expected in ('/wss1', 'wss1'), ('/wss2?foo=1', 'wss2'):
            ws = WebSocket(f'ws://127.0.0.1:{httpd.server_port}{path}')
            assert connections.get() == (expected,)
            end(ws)


def test_102_one_path_twice_on_one_http_server() -> None:
    with http_server() as httpd, on_http(httpd, path='/'), pytest.raises(WebSocketError, match='two instances'):
        WebSocketServer({'server': httpd, 'path': '/'})


# -- close ------------------------------------------------------------------------------------------------------------


def test_103_close_ends_all_clients() -> None:
    """Decision `server.close()`: with a closing handshake and code 1001."""
    wss = WebSocketServer({'port': 0, 'host': '127.0.0.1'})
    closed = Waiter()

    @wss.on('connection')
    def connection(ws: WebSocket) -> None:
        ws.on('close', lambda code: closed('server side', code))
        wss.close()

    client(wss).on('close', lambda code: closed('client side', code))
    assert sorted([closed.get(), closed.get()]) == [('client side', 1001), ('server side', 1001)]


def test_104_close_leaves_the_http_server_alone() -> None:
    with http_server() as httpd:
        wss = WebSocketServer({'server': httpd})
        wss.close()
        wait_for(wss, 'close')
        assert serves_pages(httpd)


def test_105_close_gives_the_path_back() -> None:
    with http_server() as httpd:
        with on_http(httpd, path='/wss1'):
            with on_http(httpd, path='/wss2'):
                assert len(httpd._webSocketPaths) == 2  # type: ignore[attr-defined]
            assert len(httpd._webSocketPaths) == 1  # type: ignore[attr-defined]
        assert not hasattr(httpd, '_webSocketPaths')


# -- clients ----------------------------------------------------------------------------------------------------------


def test_106_clients() -> None:
    with server() as wss:
        assert len(wss.clients) == 0
        counted = Waiter()
        wss.on('connection', lambda: counted(len(wss.clients)))
        ws = client(wss)
        assert counted.get() == (1,)
        end(ws)


def test_107_clients_without_tracking() -> None:
    with server(clientTracking=False) as wss:
        assert len(wss.clients) == 0
        counted = Waiter()
        wss.on('connection', lambda: counted(len(wss.clients)))
        ws = client(wss)
        assert counted.get() == (0,)
        end(ws)


def clients_after(how: str) -> Any:
    """How many clients there are in ``close`` of the only one, which its peer has ended."""
    with server() as wss:
        counted = Waiter()
        wss.on('connection', lambda ws: ws.on('close', lambda: counted(len(wss.clients))))
        ws = client(wss)
        wait_for(ws, 'open')
        end(ws, how)
        return counted.get()


def test_108_clients_after_terminate() -> None:
    assert clients_after('terminate') == (0,)


def test_109_clients_after_close() -> None:
    assert clients_after('close') == (0,)


# -- options and handleUpgrade ----------------------------------------------------------------------------------------


def test_110_the_options_of_a_server() -> None:
    ports = Waiter()
    wss = WebSocketServer({'host': '127.0.0.1', 'port': 0}, lambda this: ports(this.options.port))
    assert ports.get() == (0,)
    wss.close()
    wait_for(wss, 'close')


def test_111_an_upgrade_by_hand() -> None:
    wss = WebSocketServer({'noServer': True})

    class Handler(Pages):
        def do_GET(self) -> None:
            if self.headers['Upgrade'] == 'websocket':
                self.close_connection = True
                wss.handleUpgrade(self, self.connection, b'', lambda client: client.send('hello'))

    handler: type[BaseHTTPRequestHandler] = Handler
    with http_server(handler) as httpd:
        ws = WebSocket(f'ws://127.0.0.1:{httpd.server_port}')
        assert wait_for(ws, 'message')[0] == 'hello'
        end(ws)
        wss.close()
        wait_for(wss, 'close')
