"""Tests S001 to S029 of ws 8's suite, but for S006 and S007: a server's options, its address, its end, its clients."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from compatibility.peers import http_server, on_http, serves_pages
from documents import free_port
from support import Log, Waiter, client, end, no_server, raw_connection, raw_pair, read_all, server, wait_for

from ws import WebSocket, WebSocketError, WebSocketServer

# -- options ----------------------------------------------------------------------------------------------------------

NOWHERE = '^`port` or a `server` must be provided$'


def test_s001_without_options() -> None:
    """The text is that of 0.4.31."""
    with pytest.raises(TypeError, match=NOWHERE):
        WebSocketServer()


def test_s002_without_a_place() -> None:
    with pytest.raises(TypeError, match=NOWHERE):
        WebSocketServer({})


def test_s003_several_places() -> None:
    """Differs: there it raises. As in 0.4.31 it is the port, or else the HTTP server."""
    with http_server() as httpd:
        with server(noServer=True, server=httpd) as wss:
            assert wss.address().port != httpd.server_port
        with server(port=None, noServer=True, server=httpd) as wss:
            assert wss.address().port == httpd.server_port


def test_s004_the_options_can_be_read() -> None:
    ports = Waiter()
    wss = WebSocketServer({'port': 0, 'host': '127.0.0.1'}, lambda: ports(wss.options.port))
    assert ports.get() == (0,)
    wss.close()
    wait_for(wss, 'close')


def closed_for(send: Any, **options: Any) -> Any:
    """The code that a server with these options closes a connection with, on which a client has sent that."""
    with server(**options) as wss:
        wss.on('connection', lambda ws: None)
        ws = client(wss)
        closed = Log(ws, 'close')
        ws.on('open', lambda: send(ws))
        return closed.get()[1]


def test_s005_limits_on_what_comes_in() -> None:
    """There the attributes of the receiver are looked at; here is what they are for."""

    def three_fragments(ws: WebSocket) -> None:
        for fin in False, False, True:
            ws.send('x', {'fin': fin})

    limits = {'perMessageDeflate': True, 'maxBufferedChunks': 1024, 'maxFragments': 2, 'maxPayload': 20_480}
    assert closed_for(three_fragments, **limits) == 1008
    assert closed_for(lambda ws: ws.send(bytes(20_481), {'compress': False}), **limits) == 1009
    assert closed_for(lambda ws: ws.send(bytes(20_481)), **limits) == 1009
    assert closed_for(lambda ws: (ws.send(bytes(20_480)), ws.close()), **limits) == 1000


def test_s008_close_timeout() -> None:
    """A client that never answers a close frame does not hold it up for longer than that."""
    with raw_pair(closeTimeout=50) as (ws, sock):
        assert end(ws, 'close') == (1006, '')
        assert read_all(sock) == b'\x88\x02\x03\xe8'


# -- where it listens -------------------------------------------------------------------------------------------------


def test_s009_a_port_that_is_taken() -> None:
    with server() as first:
        second = WebSocketServer({'host': '127.0.0.1', 'port': first.address().port})
        assert isinstance(wait_for(second, 'error')[0], OSError)


def test_s010_a_given_port() -> None:
    with free_port() as port, server(port=port) as wss:
        ws = WebSocket(f'ws://127.0.0.1:{port}')
        wait_for(wss, 'connection')
        end(ws)


def test_s011_the_default_host() -> None:
    """Differs: '::' there. As in 0.4.31 it is every address of IPv4."""
    with server(host=None) as wss:
        assert wss.address().address == '0.0.0.0'


def test_s012_an_http_server() -> None:
    with http_server() as httpd, on_http(httpd) as wss:
        ws = WebSocket(f'ws://127.0.0.1:{httpd.server_port}')
        wait_for(wss, 'connection')
        end(ws)


def test_s013_a_request_for_a_page() -> None:
    with server() as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        with raw_connection(wss) as sock:
            sock.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
            head, _, body = read_all(sock).partition(b'\r\n\r\n')
        assert head.startswith(b'HTTP/1.1 426 ')
        assert body == b'Upgrade Required'


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='this platform has no UNIX sockets')
def test_s014_an_http_server_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / 'socket'
    with http_server(unix=path) as httpd, on_http(httpd) as wss:
        urls = Waiter()
        wss.on('connection', lambda ws, request: urls(request.url, len(wss.clients)))
        first = WebSocket(f'ws+unix:{path}:/foo?bar=bar')
        assert urls.get() == ('/foo?bar=bar', 1)
        second = WebSocket(f'ws+unix:{path}')
        assert urls.get() == ('/', 2)
        end(first)
        end(second)


# -- address() --------------------------------------------------------------------------------------------------------


def test_s015_the_address() -> None:
    with server() as wss, raw_connection(wss) as sock:
        address = wss.address()
        assert address == {'address': '127.0.0.1', 'family': 'IPv4', 'port': sock.getpeername()[1]}


def test_s016_the_address_of_who_has_none() -> None:
    with no_server() as wss, pytest.raises(WebSocketError, match=r'^The server is operating in "noServer" mode$'):
        wss.address()


def test_s017_the_address_after_the_end() -> None:
    with server() as wss:
        closed = Waiter()
        wss.close(closed)
        closed.get()
        assert wss.address() is None


# -- close() ----------------------------------------------------------------------------------------------------------


def test_s018_closed_three_times() -> None:
    with server() as wss:
        closed = Log(wss, 'close')
        for _ in range(3):
            wss.close()
        assert closed.get() == ('close',)
        assert closed.nothing(0.02)


def test_s019_the_http_server_goes_on() -> None:
    with http_server() as httpd:
        wss = WebSocketServer({'server': httpd})
        wss.on('connection', lambda: wss.close())
        ws = WebSocket(f'ws://127.0.0.1:{httpd.server_port}')
        wait_for(ws, 'close')
        assert serves_pages(httpd)


def test_s020_the_callback_without_a_server() -> None:
    wss = WebSocketServer({'noServer': True})
    closed = Waiter()
    wss.close(closed)
    assert closed.get() == ()


def test_s021_nothing_is_left_on_the_http_server() -> None:
    """What are listeners there, is a handler class here."""
    with http_server() as httpd:
        before = dict(vars(httpd))
        wss = WebSocketServer({'server': httpd})
        assert vars(httpd).keys() - before.keys()
        closed = Waiter()
        wss.close(closed)
        closed.get()
        assert {name: vars(httpd).get(name) for name in before} == before
        assert vars(httpd).keys() == before.keys()


def test_s022_close_is_emitted_when_the_port_is_closed() -> None:
    """Also if there is a client that has not asked for anything yet, and if it is closed once more meanwhile."""
    with server() as wss:
        wss.on('connection', lambda: None)
        outcome = Waiter()
        port = wss.address().port

        @wss.on('close')
        def close() -> None:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(('127.0.0.1', port))
            outcome('refused')

        with raw_connection(wss) as sock:
            wss.close()
            wss.close()
            assert outcome.get() == ('refused',)
            read_all(sock)  # it has an end


def test_s023_close_is_emitted_without_client_tracking() -> None:
    wss = WebSocketServer({'noServer': True, 'clientTracking': False})
    closed = Log(wss, 'close')
    wss.close()
    assert closed.get() == ('close',)


def closed_again(wss: WebSocketServer, how: Any) -> Any:
    """What comes of closing a server, with ``how(wss, told)``, in the callback of its ``close``."""
    told = Waiter()
    wss.close(lambda: how(wss, told))
    return told.get()


def test_s024_the_callback_if_it_was_closed_before() -> None:
    with server() as wss:
        (error,) = closed_again(wss, lambda wss, told: wss.close(told))
        assert isinstance(error, WebSocketError)
        assert str(error) == 'The server is not running'


def test_s025_the_event_if_it_was_closed_before() -> None:
    with server() as wss:
        assert closed_again(wss, lambda wss, told: (wss.on('close', told), wss.close())) == ()


# -- clients ----------------------------------------------------------------------------------------------------------


def number_of_clients(**options: Any) -> list[Any]:
    """Before a client comes, and in ``connection``."""
    with server(**options) as wss:
        counted = Waiter()
        wss.on('connection', lambda: counted(len(wss.clients)))
        before = len(wss.clients)
        ws = client(wss)
        (during,) = counted.get()
        end(ws)
        return [before, during]


def test_s026_clients() -> None:
    assert number_of_clients() == [0, 1]


def test_s027_clients_that_nobody_counts() -> None:
    """Differs: undefined there. As in 0.4.31 it is an empty list."""
    assert number_of_clients(clientTracking=False) == [0, 0]


def clients_after(how: str) -> Any:
    """Their number in ``close`` of the only one."""
    with server() as wss:
        counted = Waiter()
        wss.on('connection', lambda ws: ws.on('close', lambda: counted(len(wss.clients))))
        ws = client(wss)
        ws.on('open', lambda: getattr(ws, how)())
        return counted.get()


def test_s028_clients_after_one_has_terminated() -> None:
    assert clients_after('terminate') == (0,)


def test_s029_clients_after_one_has_closed() -> None:
    assert clients_after('close') == (0,)
