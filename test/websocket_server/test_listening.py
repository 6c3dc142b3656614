"""WebSocketServer: its options, and where it listens."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
from support import Log, Waiter, echo_server, end, server, until, wait_for, wait_for_end

from ws import WebSocket, WebSocketServer


@pytest.mark.parametrize('options', [None, {}, {'host': '127.0.0.1'}, {'port': None}])
def test_without_a_port_it_raises(options: Any) -> None:
    """Items 93 and 94."""
    with pytest.raises(TypeError, match='`port` or a `server` must be provided'):
        WebSocketServer(options)


@pytest.mark.parametrize(
    ('options', 'error', 'text'),
    [
        ({'port': '-1'}, ValueError, 'port'),
        ({'port': ' '}, ValueError, 'port'),
        ({'port': 65536}, ValueError, 'port'),
        ({'port': -1}, ValueError, 'port'),
        ({'port': 1.5}, TypeError, 'port'),
        ({'port': 0, 'host': 5}, TypeError, 'host'),
        ({'port': 0, 'maxPayload': 'x'}, TypeError, 'maxPayload'),
        ({'port': 0, 'maxFragments': -5}, ValueError, 'maxFragments'),
        ({'port': 0, 'handshakeTimeout': 'x'}, TypeError, 'handshakeTimeout'),
        ({'port': 0, 'closeTimeout': -1}, ValueError, 'closeTimeout'),
        ({'port': 0, 'key': 'x'}, ValueError, 'cert and key'),
        ({'port': 0, 'key': 'x', 'cert': 'y'}, ssl.SSLError, 'PEM'),
    ],
)
def test_wrong_options_raise_and_name_the_option(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        WebSocketServer(options)


def test_an_unknown_option_is_ignored_with_a_warning() -> None:
    with pytest.warns(
        UserWarning, match=r"WebSocketServer has no option 'prot': ignored; did you mean 'port'\?"
    ) as caught:
        wss = WebSocketServer({'port': 0, 'prot': 1}, host='127.0.0.1')
    assert caught[0].filename == __file__
    wait_for_end(wss)


def test_listening_and_its_callback() -> None:
    """Items 97 and 110."""
    told = Waiter()
    wss = WebSocketServer({'port': 0, 'host': '127.0.0.1'}, lambda: told(wss.options.port, wss.options['host']))
    listening = Waiter()
    wss.on('listening', listening)
    assert told.get() == (0, '127.0.0.1')
    assert listening.get() == ()
    wait_for_end(wss)


def test_address() -> None:
    with server() as wss:
        address = wss.address()
        assert address is not None
        assert address == {'address': '127.0.0.1', 'family': 'IPv4', 'port': address.port}
        assert address.port > 0
        with socket.create_connection(('127.0.0.1', address.port)):
            pass
    assert wss.address() is None


def test_the_default_host_is_every_ipv4_address() -> None:
    with server(host=None) as wss:
        address = wss.address()
        assert address is not None and address.address == '0.0.0.0'


def test_a_host_by_name_is_looked_up() -> None:
    with server(host='localhost') as wss:
        wait_for(wss, 'listening')
        address = wss.address()
        assert address is not None and address.address in ('127.0.0.1', '::1')


def _has_ipv6() -> bool:
    try:
        socket.create_server(('::1', 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason='no IPv6 loopback on this machine')
@pytest.mark.parametrize('host', ['::1', '::'])
def test_ipv6(host: str) -> None:
    with echo_server(host=host) as wss:
        address = wss.address()
        assert address is not None and address.family == 'IPv6'
        ws = WebSocket(f'ws://[::1]:{address.port}/')
        log = Log(ws, 'open', 'message', 'error')
        log.until('open')
        ws.send('six')
        assert log.get()[1] == 'six'
        end(ws)
        if host == '::':  # both families, as in Node
            four = WebSocket(f'ws://127.0.0.1:{address.port}/')
            wait_for(four, 'open')
            end(four)


def test_a_port_that_is_taken_is_an_error_event() -> None:
    """Item 96."""
    with server() as wss:
        port = wss.address().port  # type: ignore[union-attr]
        second = WebSocketServer(port=port, host='127.0.0.1')
        error = wait_for(second, 'error')[0]
        assert isinstance(error, OSError)
        assert str(port) in str(error)
        told = Waiter()
        second.close(told)
        assert str(told.get()[0]) == 'The server is not running'


def test_an_error_nobody_listens_to_is_reported(reported: list[BaseException]) -> None:
    WebSocketServer(port=0, host='does-not-exist.invalid')
    until(lambda: reported)
    assert isinstance(reported.pop(), socket.gaierror)
