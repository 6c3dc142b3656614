"""Items 1 to 41 of the original's suite: construction, properties, events, establishing, pausing, pings and pongs."""

from __future__ import annotations

import base64
import socket
from typing import Any

import pytest
from compatibility.peers import accepted, connected, in_node, peer, silence
from support import TIMEOUT, Log, Waiter, client, end, server, url_of, wait_for

from ws import NotOpenError, WebSocket

# -- construction and options -----------------------------------------------------------------------------------------


def test_001_an_address_without_scheme_and_host_raises() -> None:
    with pytest.raises(ValueError, match='invalid url'):
        WebSocket('echo.websocket.org')


class Agent:
    def __init__(self) -> None:
        self.asked = Waiter()

    def addRequest(self, request: Any, options: Any) -> socket.socket:
        """Decision `agent`: it returns a connected socket."""
        self.asked(request.headers['Upgrade'])
        return socket.create_connection((options.host, options.port), TIMEOUT)


def test_002_an_agent_in_the_second_argument() -> None:
    agent = Agent()
    with peer() as mini:
        ws = WebSocket(mini.url, {'agent': agent})
        assert agent.asked.get() == ('websocket',)
        wait_for(ws, 'open')
        end(ws)


def test_003_an_agent_in_the_third_argument() -> None:
    agent = Agent()
    with peer() as mini:
        ws = WebSocket(mini.url, [], {'agent': agent})
        assert agent.asked.get() == ('websocket',)
        wait_for(ws, 'open')
        end(ws)


# -- properties -------------------------------------------------------------------------------------------------------


def test_004_bytes_received() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('foobar'))
        ws = client(wss)
        counted = Waiter()
        ws.on('message', lambda: counted(ws.bytesReceived))
        assert counted.get() == (8,)


def test_005_url() -> None:
    with silence() as url:
        ws = WebSocket(url)
        assert ws.url == url
        assert end(ws) == (1006, '')  # decision `close()`/`terminate()` while CONNECTING


def test_006_protocol_version() -> None:
    with silence() as url:
        ws = WebSocket(url)
        assert ws.protocolVersion == 13
        end(ws)


def test_007_buffered_amount_before_connect() -> None:
    with silence() as url:
        ws = WebSocket(url)
        assert ws.bufferedAmount == 0
        end(ws)


def test_008_buffered_amount_when_open() -> None:
    with peer() as mini:
        ws = WebSocket(mini.url)
        seen, closed = Waiter(), Waiter()

        def onopen() -> None:
            seen(ws.bufferedAmount)
            ws.terminate()

        ws.onopen = onopen
        ws.on('close', closed)
        assert seen.get() == (0,)
        closed.get()


def test_009_buffered_amount_grows_when_much_is_sent() -> None:
    with server() as wss:
        seen = Waiter()

        @wss.on('connection')
        def connection(ws: WebSocket) -> None:
            for _ in range(10_000):
                if ws.bufferedAmount > 0:
                    break
                ws.send('hello' * 10_000)
            seen(ws.bufferedAmount)

        ws = client(wss)
        assert seen.get()[0] > 0
        end(ws)


def test_010_user_and_password_in_the_address() -> None:
    with peer() as mini:
        ws = WebSocket(mini.url.replace('//', '//test:testpass@'))
        (headers,) = mini.headers.get()
        assert headers['authorization'] == 'Basic ' + base64.b64encode(b'test:testpass').decode()
        end(ws)


def test_011_headers_of_the_users() -> None:
    with peer() as mini:
        ws = WebSocket(mini.url, {'headers': {'Cookie': 'foo=bar'}})
        (headers,) = mini.headers.get()
        assert headers['cookie'] == 'foo=bar'
        end(ws)


def test_012_ready_state_at_first() -> None:
    with silence() as url:
        ws = WebSocket(url)
        assert ws.readyState == WebSocket.CONNECTING
        end(ws)


def test_013_ready_state_when_open() -> None:
    with peer() as mini:
        ws = WebSocket(mini.url)
        seen = Waiter()
        ws.on('open', lambda: seen(ws.readyState))
        assert seen.get() == (WebSocket.OPEN,)
        end(ws)


def test_014_ready_state_after_close_while_connecting() -> None:
    with silence() as url:
        ws = WebSocket(url)
        seen = Waiter()
        ws.on('close', lambda: seen(ws.readyState))
        ws.close(1001)
        assert seen.get() == (WebSocket.CLOSED,)


def test_015_ready_state_after_terminate_while_connecting() -> None:
    with silence() as url:
        ws = WebSocket(url)
        seen = Waiter()
        ws.on('close', lambda: seen(ws.readyState))
        ws.terminate()
        assert seen.get() == (WebSocket.CLOSED,)


def is_state_of_the_class(name: str, value: int) -> bool:
    return vars(WebSocket)[name] == value and name in dir(WebSocket)


def is_state_of_instances(name: str, value: int) -> bool:
    with silence() as url:
        ws = WebSocket(url)
        end(ws)
        return bool(getattr(ws, name) == value)


def test_016_connecting_of_the_class() -> None:
    assert is_state_of_the_class('CONNECTING', 0)


def test_017_open_of_the_class() -> None:
    assert is_state_of_the_class('OPEN', 1)


def test_018_closing_of_the_class() -> None:
    assert is_state_of_the_class('CLOSING', 2)


def test_019_closed_of_the_class() -> None:
    assert is_state_of_the_class('CLOSED', 3)


def test_020_connecting_of_instances() -> None:
    assert is_state_of_instances('CONNECTING', 0)


def test_021_open_of_instances() -> None:
    assert is_state_of_instances('OPEN', 1)


def test_022_closing_of_instances() -> None:
    assert is_state_of_instances('CLOSING', 2)


def test_023_closed_of_instances() -> None:
    assert is_state_of_instances('CLOSED', 3)


# -- events -----------------------------------------------------------------------------------------------------------


def test_024_ping_of_a_server() -> None:
    """An empty payload is b'', as in ws 8 (0.4.31: null)."""
    with server() as wss:
        wss.on('connection', lambda ws: ws.ping())
        data, _flags = wait_for(client(wss), 'ping')
        assert data == b''


def test_025_pong_of_a_server() -> None:
    """An empty payload is b'', as in ws 8 (0.4.31: null)."""
    with server() as wss:
        wss.on('connection', lambda ws: ws.pong())
        data, _flags = wait_for(client(wss), 'pong')
        assert data == b''


# -- establishing -----------------------------------------------------------------------------------------------------


def end_at_once(url: str, how: str, *args: Any) -> list[Any]:
    """The events of a client that is ended in the line after its making; as there, nobody listens to ``error``."""

    def start() -> Log:
        ws = WebSocket(url)
        log = Log(ws, 'open', 'close')
        getattr(ws, how)(*args)
        return log

    return in_node(start).until('close')


def test_026_terminate_at_once() -> None:
    with server() as wss:
        assert end_at_once(url_of(wss), 'terminate') == [('close', 1006, '')]


def test_027_close_at_once() -> None:
    """Decision `close()`/`terminate()` while CONNECTING: the code is 1006, no close frame having been sent."""
    with server() as wss:
        assert end_at_once(url_of(wss), 'close', 1001) == [('close', 1006, '')]


def test_028_an_invalid_server_key() -> None:
    """Decision `failed opening handshake`: ``close`` follows ``error``."""
    with peer(lambda headers: accepted({'sec-websocket-key': 'CxYS6+NgJSBG74mdgLvGscRvpns='})) as mini:
        error, close = Log(WebSocket(mini.url)).until('close')
        assert (error[0], str(error[1])) == ('error', 'invalid server key')
        assert close == ('close', 1006, '')


def test_029_a_server_that_hangs_up() -> None:
    """Decision `close` event's code: 1006, as no close frame came (0.4.31: 1000)."""
    with peer(goes_on=False) as mini:
        assert Log(WebSocket(mini.url)).until('close') == [('open',), ('close', 1006, '')]


def test_030_a_server_that_refuses() -> None:
    """Decision `failed opening handshake`: ``close`` follows ``error``."""
    refusal = b'HTTP/1.1 401 Unauthorized\r\nContent-type: text/html\r\n\r\n'
    with peer(lambda headers: refusal, goes_on=False) as mini:
        error, close = Log(WebSocket(mini.url)).until('close')
        assert (error[0], str(error[1])) == ('error', 'unexpected server response (401)')
        assert close == ('close', 1006, '')


# -- pause and resume -------------------------------------------------------------------------------------------------


def test_031_no_message_while_paused() -> None:
    with server() as wss:
        connections = Waiter()
        wss.on('connection', lambda ws: connections(ws))
        ws = client(wss)
        (serverClient,) = connections.get()
        log = Log(serverClient, 'message')
        serverClient.pause()
        wait_for(ws, 'open')
        ws.send('foo')
        assert log.nothing(0.2)
        serverClient.resume()
        assert log.get()[:2] == ('message', 'foo')


# -- ping -------------------------------------------------------------------------------------------------------------


def test_032_ping_before_connect_raises() -> None:
    with silence() as url:
        ws = WebSocket(url)
        with pytest.raises(NotOpenError, match=r'^not opened$'):
            ws.ping()
        end(ws)


def test_033_ping_before_connect_may_do_nothing() -> None:
    with silence() as url:
        ws = WebSocket(url)
        ws.ping('', {}, True)
        end(ws)


def test_034_ping_without_payload() -> None:
    with connected() as (ws, mini):
        ws.ping()
        assert mini.received.get()[:2] == ('ping', b'')


def test_035_ping_with_payload() -> None:
    with connected() as (ws, mini):
        ws.ping('hi')
        assert mini.received.get()[:2] == ('ping', b'hi')


def test_036_masked_ping() -> None:
    with connected() as (ws, mini):
        ws.ping('hi', {'mask': True})
        kind, data, flags = mini.received.get()
        assert (kind, data, flags.masked) == ('ping', b'hi', True)


# -- pong -------------------------------------------------------------------------------------------------------------


def test_037_pong_before_connect_raises() -> None:
    with silence() as url:
        ws = WebSocket(url)
        with pytest.raises(NotOpenError, match=r'^not opened$'):
            ws.pong()
        end(ws)


def test_038_pong_before_connect_may_do_nothing() -> None:
    with silence() as url:
        ws = WebSocket(url)
        ws.pong('', {}, True)
        end(ws)


def test_039_pong_without_payload() -> None:
    with connected() as (ws, mini):
        ws.pong()
        assert mini.received.get()[:2] == ('pong', b'')


def test_040_pong_with_payload() -> None:
    with connected() as (ws, mini):
        ws.pong('hi')
        assert mini.received.get()[:2] == ('pong', b'hi')


def test_041_masked_pong() -> None:
    with connected() as (ws, mini):
        ws.pong('hi', {'mask': True})
        kind, data, flags = mini.received.get()
        assert (kind, data, flags.masked) == ('pong', b'hi', True)
