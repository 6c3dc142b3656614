"""WebSocket: construction, attributes, sending, control frames, closing; against our own server and raw sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fakes import accept, fake_server
from support import TIMEOUT, Log, Waiter, client, echo_server, end, on_loop, read_all, server, url_of, wait_for

from ws import HandshakeError, WebSocket
from ws.protocol.frames import build_frame

# -- construction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('url', ['echo.websocket.org', '', '//host', 'ws:///x', 'ws://'])
def test_an_address_that_is_none_raises(url: str) -> None:
    with pytest.raises(ValueError, match=r'^invalid url$'):
        WebSocket(url)


@pytest.mark.parametrize('url', ['ftp://host/', 'ws://host:99999/', 'ws://ho st/', 'ws://[::1/'])
def test_an_address_that_cannot_work_says_why(url: str) -> None:
    with pytest.raises(ValueError, match=r'^invalid url: .'):
        WebSocket(url)


@pytest.mark.parametrize('address', [None, 5, b'ws://host', {'url': 'ws://host'}])
def test_an_address_that_is_no_text_raises(address: Any) -> None:
    with pytest.raises(TypeError, match='address must be a str'):
        WebSocket(address)


@pytest.mark.parametrize(
    ('options', 'error', 'text'),
    [
        ({'protocolVersion': 7}, ValueError, 'unsupported protocol version'),
        ({'protocolVersion': 'hixie-76'}, ValueError, 'unsupported protocol version'),
        ({'headers': {'X-A': 'b\r\nX-Evil: 1'}}, ValueError, 'X-A'),
        ({'headers': {'X A': 'b'}}, ValueError, 'X A'),
        ({'headers': {'X-A': b'5'}}, TypeError, 'X-A'),
        ({'protocol': 'a b'}, ValueError, 'a b'),
        ({'origin': 'x\ny'}, ValueError, 'Origin'),
        ({'maxPayload': -1}, ValueError, 'maxPayload'),
        ({'maxPayload': '1'}, TypeError, 'maxPayload'),
        ({'maxFragments': 1.5}, TypeError, 'maxFragments'),
        ({'handshakeTimeout': -1}, ValueError, 'handshakeTimeout'),
        ({'closeTimeout': float('nan')}, ValueError, 'closeTimeout'),
        ({'closeTimeout': True}, TypeError, 'closeTimeout'),
    ],
)
def test_wrong_options_raise_and_name_the_option(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        WebSocket('ws://127.0.0.1:1', options)


def test_options_that_are_no_dict_raise() -> None:
    with pytest.raises(TypeError, match='options of WebSocket must be a dict'):
        WebSocket('ws://127.0.0.1:1', None, 'options')  # type: ignore[arg-type]


def test_an_unknown_option_is_ignored_with_a_warning() -> None:
    with echo_server() as wss:
        with pytest.warns(
            UserWarning, match=r"no option 'maxPayloads': ignored; did you mean 'maxPayload'\?"
        ) as caught:
            ws = WebSocket(url_of(wss), {'maxPayloads': 1})
        assert caught[0].filename == __file__
        end(ws)


def test_the_callers_dict_is_left_alone_and_none_means_not_given() -> None:
    with echo_server() as wss:
        options = {'protocolVersion': None, 'headers': None, 'closeTimeout': 7}
        ws = WebSocket(url_of(wss), options)
        assert options == {'protocolVersion': None, 'headers': None, 'closeTimeout': 7}
        assert ws.options.protocolVersion == 13
        assert ws.options['closeTimeout'] == 7
        end(ws)


def test_options_as_dict_and_as_keywords() -> None:
    with echo_server() as wss:
        ws = WebSocket(url_of(wss), {'closeTimeout': 1, 'origin': 'a'}, origin='b')
        assert (ws.options.closeTimeout, ws.options.origin) == (1, 'b')
        end(ws)


# -- the request ------------------------------------------------------------------------------------------------------


def test_what_the_server_sees_of_the_options() -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        address = wss.address()
        assert address is not None
        ws = WebSocket(
            f'ws://user:p%40ss@127.0.0.1:{address.port}/path?query=1',
            ['first', 'second'],
            {'origin': 'http://example.org', 'headers': {'Cookie': 'a=b'}, 'protocol': 'second, third'},
        )
        peer, request = connected.get()
        assert request is peer.upgradeReq
        assert (request.method, request.url, request.httpVersion) == ('GET', '/path?query=1', '1.1')
        assert request.headers['host'] == f'127.0.0.1:{address.port}'
        assert request.headers['Origin'] == 'http://example.org'
        assert request.headers['cookie'] == 'a=b'
        assert request.headers['authorization'] == 'Basic dXNlcjpwQHNz'
        assert request.headers['sec-websocket-protocol'] == 'first, second, third'
        assert request.connection.remoteAddress == '127.0.0.1'
        assert request.connection.remotePort == on_loop(ws, lambda: ws._socket and ws._socket.localPort)
        wait_for(ws, 'open')
        assert ws.protocol == peer.protocol == 'first'
        end(ws)


@pytest.mark.parametrize('version', [8, 13, '8', '13'])
def test_protocol_version(version: Any) -> None:
    with echo_server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss, protocolVersion=version, origin='http://o')
        log = Log(ws, 'open', 'message')
        log.until('open')
        peer, request = connected.get()
        assert ws.protocolVersion == version
        assert peer.protocolVersion == int(version)
        assert request.headers['sec-websocket-version'] == str(version)
        assert request.headers['origin' if int(version) == 13 else 'sec-websocket-origin'] == 'http://o'
        ws.send('hi')
        assert log.get()[1] == 'hi'
        end(ws)


def test_origin_and_host_by_default_are_the_address() -> None:
    """Items 91 and 92."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        port = wss.address().port  # type: ignore[union-attr]
        ws = WebSocket(f'ws://localhost:{port}')
        _, request = connected.get()
        assert request.headers['host'] == request.headers['origin'] == f'localhost:{port}'
        end(ws)


# -- what can go wrong with the answer --------------------------------------------------------------------------------


def refuse(status: str) -> Callable[[socket.socket, bytes], None]:
    return lambda sock, head: sock.sendall(f'HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n'.encode())


@pytest.mark.parametrize(
    ('answer', 'text'),
    [
        (refuse('401 Unauthorized'), 'unexpected server response (401)'),
        (refuse('200 OK'), 'unexpected server response (200)'),
        (lambda sock, head: sock.sendall(accept(head).replace(b'Accept: ', b'Accept: x')), 'invalid server key'),
        (lambda sock, head: sock.sendall(accept(head).replace(b'Upgrade: websocket', b'Upgrade: tcp')), 'Upgrade'),
        (
            lambda sock, head: sock.sendall(accept(head, 'Sec-WebSocket-Protocol: a')),
            'server sent a subprotocol even though none requested',
        ),
        (lambda sock, head: sock.sendall(accept(head, 'Sec-WebSocket-Extensions: x')), 'extension'),
        (lambda sock, head: sock.sendall(b'SSH-2.0-OpenSSH_9\r\n'), 'SSH-2.0'),
        (lambda sock, head: sock.sendall(b'HTTP/1.1 101 x\r\nBad Header: y\r\n\r\n'), 'header'),
        (lambda sock, head: sock.sendall(b'HTTP/1.1 101 x\r\n' + b'X: y\r\n' * 5000), 'head'),
        (lambda sock, head: None, 'closed the connection before it answered'),
    ],
)
def test_an_answer_that_is_wrong(answer: Callable[[socket.socket, bytes], None], text: str) -> None:
    """One `error`, one `close` with 1006, no `open`."""
    with fake_server(answer) as url:
        log = Log(WebSocket(url))
        kind, error = log.get()
        assert kind == 'error'
        assert isinstance(error, HandshakeError)
        assert text in str(error)
        assert error.status == (int(text[-4:-1]) if 'unexpected' in text else None)
        assert log.get() == ('close', 1006, '')


@pytest.mark.parametrize(
    ('protocols', 'line', 'text'),
    [
        ('a', None, 'server sent no subprotocol even though requested'),
        (['a', 'b'], 'c', 'server responded with an invalid protocol'),
    ],
)
def test_an_answer_with_a_wrong_subprotocol(protocols: Any, line: Any, text: str) -> None:
    lines = [f'Sec-WebSocket-Protocol: {line}'] if line else []
    with fake_server(lambda sock, head: sock.sendall(accept(head, *lines))) as url:
        log = Log(WebSocket(url, protocols))
        assert str(log.get()[1]) == text
        assert log.get() == ('close', 1006, '')


def test_nobody_listens() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    log = Log(WebSocket(f'ws://127.0.0.1:{port}'))
    error = log.get()[1]
    assert isinstance(error, ConnectionRefusedError)
    assert str(port) in str(error)
    assert log.get() == ('close', 1006, '')


def test_a_name_that_does_not_exist() -> None:
    log = Log(WebSocket('ws://does-not-exist.invalid'))
    error = log.get()[1]
    assert isinstance(error, socket.gaierror)
    assert 'does-not-exist.invalid' in str(error)
    assert log.get() == ('close', 1006, '')


def test_the_handshake_times_out() -> None:
    done = threading.Event()
    with fake_server(lambda sock, head: done.wait(TIMEOUT) and None) as url:
        log = Log(WebSocket(url, handshakeTimeout=100))
        assert str(log.get()[1]) == 'Opening handshake has timed out'
        assert log.get() == ('close', 1006, '')
        done.set()


def test_an_answer_byte_by_byte_with_a_frame_behind_it() -> None:
    def talk(sock: socket.socket, head: bytes) -> None:
        for byte in accept(head) + build_frame(1, b'hello'):
            sock.sendall(bytes([byte]))
        read_all(sock)

    with fake_server(talk) as url:
        ws = WebSocket(url)
        log = Log(ws)
        assert [entry[:2] for entry in (log.get(), log.get())] == [('open',), ('message', 'hello')]
        assert ws.bytesReceived == 7
        end(ws)


# -- attributes -------------------------------------------------------------------------------------------------------


def test_the_states_are_on_class_and_instance() -> None:
    """Items 16 to 23."""
    with echo_server() as wss:
        ws = client(wss)
        for number, name in enumerate(('CONNECTING', 'OPEN', 'CLOSING', 'CLOSED')):
            assert getattr(WebSocket, name) == getattr(ws, name) == number
        end(ws)


@pytest.mark.loop
def test_ready_state_through_a_life() -> None:
    """Items 12, 13 and 14."""
    with echo_server() as wss:
        states: list[int] = []
        closed = Waiter()

        def begin() -> None:
            ws = client(wss)
            states.append(ws.readyState)
            ws.on('open', lambda: (states.append(ws.readyState), ws.close(), states.append(ws.readyState)))
            ws.on('close', lambda: (states.append(ws.readyState), closed()))

        on_loop(wss, begin)
        closed.get()
        assert states == [WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED]


def test_attributes_of_both_ends(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    assert ws.url is not None and ws.url.startswith('ws://127.0.0.1:') and peer.url is None
    assert ws.upgradeReq is None and peer.upgradeReq is not None
    assert ws.protocol is None and peer.protocol is None
    assert ws.protocolVersion == peer.protocolVersion == 13  # item 6
    assert ws.supports.binary is True and peer.supports['binary'] is True  # item 89
    assert ws.bufferedAmount == peer.bufferedAmount == 0
    assert ws.bytesReceived == peer.bytesReceived == 0
    ws.any_name = peer.id = 5  # type: ignore[attr-defined]
    assert 'OPEN' in repr(ws) and 'OPEN' in repr(peer)


def test_bytes_received_counts_frames(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 4."""
    ws, peer = pair
    message = Waiter()
    ws.on('message', message)
    peer.send('foobar')
    message.get()
    assert ws.bytesReceived == 8


def test_buffered_amount_grows_when_the_peer_does_not_read(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 9."""
    ws, peer = pair
    ws.pause()

    def flood() -> int:
        for _ in range(10_000):
            peer.send('x' * 50_000)
            if peer.bufferedAmount > 1 << 20:
                break
        return peer.bufferedAmount

    assert on_loop(peer, flood) > 1 << 20
    end(peer)
    assert peer.bufferedAmount == 0
