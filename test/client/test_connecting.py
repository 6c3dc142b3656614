"""Where a client connects to, and from where: lookup, family, localAddress, socketPath, auth, createConnection."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import free_port
from fakes import black_hole
from support import TIMEOUT, Log, Waiter, client, echo_server, end, server, url_of, wait_for

from ws import WebSocket, WebSocketServer
from ws.client.connecting import Route
from ws.net import connect
from ws.net.connect import ATTEMPT_DELAY
from ws.options import CLIENT_OPTIONS, Options
from ws.protocol.url import parse_url


def port_of(wss: WebSocketServer) -> int:
    return wss.address().port  # type: ignore[union-attr]


def echoes(ws: WebSocket) -> None:
    log = Log(ws, 'open', 'message', 'error')
    assert log.get() == ('open',)
    ws.send('hi')
    assert log.get()[:2] == ('message', 'hi')
    end(ws)


def failure(url: str, **options: Any) -> BaseException:
    (kind, error), close = Log(WebSocket(url, **options), 'open', 'error', 'close').until('close')
    assert (kind, close) == ('error', ('close', 1006, ''))
    assert isinstance(error, BaseException)
    return error


@contextlib.contextmanager
def on_ipv6(**options: Any) -> Iterator[WebSocketServer]:
    try:
        socket.create_server(('::1', 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip('this machine has no IPv6')
    with server(host='::1', **options) as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
        wait_for(wss, 'listening')
        yield wss


# -- lookup, family ---------------------------------------------------------------------------------------------------


def test_a_name_that_only_the_program_knows() -> None:
    asked = Waiter()

    def lookup(host: str, wanted: Any) -> str:
        asked(host, wanted.family)
        return '127.0.0.1'

    with server() as wss:
        heard = Waiter()
        wss.on('connection', lambda ws, request: heard(request.headers['host']))
        ws = WebSocket(f'ws://chat.example:{port_of(wss)}', lookup=lookup)
        wait_for(ws, 'open')
        assert asked.get() == ('chat.example', 0)
        assert heard.get() == (f'chat.example:{port_of(wss)}',)
        end(ws)


def test_one_that_calls_back_as_nodes_do() -> None:
    with echo_server() as wss:

        def lookup(host: str, wanted: Any, callback: Any) -> None:
            threading.Timer(0.01, lambda: callback(None, [{'address': '127.0.0.1', 'family': 4}])).start()

        echoes(WebSocket(f'ws://chat.example:{port_of(wss)}', lookup=lookup))


def test_a_lookup_that_fails_is_the_error() -> None:
    class NoSuchService(Exception):
        pass

    def lookup(host: str) -> str:
        raise NoSuchService(host)

    error = failure('ws://chat.example', lookup=lookup)
    assert isinstance(error, NoSuchService)
    assert str(error) == 'chat.example'


def test_a_lookup_that_hangs_ends_with_the_handshake() -> None:
    release = threading.Event()

    def lookup(host: str) -> str:
        release.wait(TIMEOUT)
        return '127.0.0.1'

    started = time.monotonic()
    error = failure('ws://chat.example', lookup=lookup, handshakeTimeout=100)
    assert str(error) == 'Opening handshake has timed out'
    assert time.monotonic() - started < TIMEOUT / 2
    release.set()


def test_one_family_only() -> None:
    both = {'lookup': lambda host: ['::1', '127.0.0.1']}
    with echo_server() as wss:
        echoes(WebSocket(f'ws://a.example:{port_of(wss)}', both, family=4))
        error = failure(f'ws://a.example:{port_of(wss)}', lookup=lambda host: '127.0.0.1', family=6)
        assert str(error) == 'lookup has found no address for a.example'
        echoes(WebSocket(f'ws://localhost:{port_of(wss)}', family=4))  # by the system
    with on_ipv6() as wss:
        echoes(WebSocket(f'ws://a.example:{port_of(wss)}', both, family=6))
        assert isinstance(failure(f'ws://a.example:{port_of(wss)}', **both, family=4), ConnectionRefusedError)
        echoes(WebSocket(f'ws://[::1]:{port_of(wss)}', family=4))  # an address is what it is, as in Node


# -- a dead address delays nobody (RFC 8305) --------------------------------------------------------------------------


def test_a_dead_ipv6_address_costs_a_quarter_of_a_second() -> None:
    with echo_server() as wss:
        port = port_of(wss)
        try:
            hole = contextlib.ExitStack()
            hole.enter_context(black_hole('::1', port))
        except OSError:
            pytest.skip('this machine has no IPv6')
        with hole:
            started = time.monotonic()
            ws = WebSocket(f'ws://a.example:{port}', lookup=lambda host: ['::1', '127.0.0.1'])
            wait_for(ws, 'open')
            assert ATTEMPT_DELAY / 1000 <= time.monotonic() - started < 0.9  # a SYN is repeated after a second
            assert ws._socket is not None and ws._socket.remoteAddress == '127.0.0.1'
            end(ws)


def test_an_ipv6_address_that_refuses_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, 'ATTEMPT_DELAY', 2 * TIMEOUT * 1000)
    with echo_server() as wss:
        ws = WebSocket(f'ws://a.example:{port_of(wss)}', lookup=lambda host: ['::1', '127.0.0.1'])
        wait_for(ws, 'open')
        end(ws)


def test_many_dead_addresses_of_one_family_do_not_hide_the_other() -> None:
    """The second to be tried is of the other family, whatever the order."""
    with echo_server(host='127.0.0.1') as wss:
        port = port_of(wss)
        try:
            hole = contextlib.ExitStack()
            hole.enter_context(black_hole('::1', port))
        except OSError:
            pytest.skip('this machine has no IPv6')
        with hole:
            started = time.monotonic()
            ws = WebSocket(f'ws://a.example:{port}', lookup=lambda host: ['::1'] * 8 + ['127.0.0.1'])
            wait_for(ws, 'open')
            assert time.monotonic() - started < 0.9
            end(ws)


def test_when_nothing_answers_the_handshake_ends_in_time() -> None:
    with black_hole() as port:
        error = failure(f'ws://a.example:{port}', lookup=lambda host: ['127.0.0.1'] * 3, handshakeTimeout=400)
        assert str(error) == 'Opening handshake has timed out'


# -- one's own end ----------------------------------------------------------------------------------------------------


def test_a_local_address_and_port() -> None:
    with free_port() as port, server() as wss:
        heard = Waiter()
        wss.on('connection', lambda ws, request: heard(request.socket.remoteAddress, request.socket.remotePort))
        for options, address in (
            ({'localAddress': '127.0.0.2'}, '127.0.0.2'),
            ({'localAddress': '127.0.0.3', 'localPort': port}, '127.0.0.3'),
            ({'localPort': port}, '127.0.0.1'),
        ):
            ws = client(wss, **options)
            seen, seen_port = heard.get()
            assert seen == address
            assert 'localPort' not in options or seen_port == port
            end(ws)


def test_a_local_address_decides_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, 'ATTEMPT_DELAY', 2 * TIMEOUT * 1000)
    with echo_server() as wss:
        asked = Waiter()

        def lookup(host: str, wanted: Any) -> list[str]:
            asked(wanted.family)
            return ['::1', '127.0.0.1']

        names = {'lookup': lookup, 'localAddress': '127.0.0.1'}
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                stack.enter_context(black_hole('::1', port_of(wss)))
            ws = WebSocket(f'ws://a.example:{port_of(wss)}', names)
            wait_for(ws, 'open')
            assert asked.get() == (4,)
            end(ws)


def test_a_local_address_that_is_not_ours() -> None:
    error = failure('ws://127.0.0.1:1', localAddress='192.0.2.1')
    assert isinstance(error, OSError)
    assert error.errno == errno.EADDRNOTAVAIL
    assert '192.0.2.1' in str(error)


# -- socketPath -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', [str, Path])
def test_a_unix_socket_in_place_of_host_and_port(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / 'socket'
    with server(port=None, host=None, socketPath=path) as wss:
        heard = Waiter()
        wss.on('connection', lambda ws, request: heard(request.headers['host'], request.url))
        ws = WebSocket('ws://chat.example:81/room?a=b', socketPath=kind(path))
        wait_for(ws, 'open')
        assert heard.get() == ('chat.example:81', '/room?a=b')
        end(ws)


def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    error = failure('ws://chat.example', socketPath=tmp_path / 'none')
    assert isinstance(error, FileNotFoundError)
    assert str(tmp_path / 'none') in str(error)


def test_it_is_for_the_host_of_the_address_only() -> None:
    """And not for where a redirect leads."""
    options = Options(CLIENT_OPTIONS, socketPath='/run/a.sock')
    route = Route(parse_url('ws://chat.example:81/a'), options)
    for url, path in (
        ('ws://chat.example:81/b', '/run/a.sock'),
        ('wss://chat.example:81/b', '/run/a.sock'),
        ('ws://chat.example/b', None),
        ('ws://other.example:81/a', None),
        ('ws+unix:///run/b.sock', '/run/b.sock'),
    ):
        assert route.address(parse_url(url)).socket_path == path


def test_what_tls_needs_is_looked_at_when_there_is_to_be_tls() -> None:
    route = Route(parse_url('ws://chat.example'), Options(CLIENT_OPTIONS, cert='rubbish', key='rubbish'))
    route.check(parse_url('ws://other.example'))
    with pytest.raises(ssl.SSLError):
        route.check(parse_url('wss://chat.example'))


# -- auth -------------------------------------------------------------------------------------------------------------


def basic(credentials: str) -> str:
    return 'Basic ' + b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    ('userinfo', 'options', 'sent'),
    [
        ('', {'auth': 'ann:secret'}, basic('ann:secret')),
        ('', {'auth': 'änn:gehe:im'}, basic('änn:gehe:im')),
        ('', {'auth': '100%:%41'}, basic('100%:%41')),  # nothing is decoded, unlike in an address
        ('', {'auth': 'token'}, basic('token')),
        ('', {'auth': ''}, None),
        ('bob:word@', {'auth': 'ann:secret'}, basic('bob:word')),
        ('', {'auth': 'ann:secret', 'headers': {'authorization': 'Bearer x'}}, 'Bearer x'),
    ],
)
def test_user_and_password(userinfo: str, options: Any, sent: Any) -> None:
    with server() as wss:
        heard = Waiter()
        wss.on('connection', lambda ws, request: heard(request.headers.get('authorization')))
        ws = WebSocket(f'ws://{userinfo}127.0.0.1:{port_of(wss)}', options)
        assert heard.get() == (sent,)
        assert 'secret' not in repr(ws)
        end(ws)


# -- createConnection -------------------------------------------------------------------------------------------------


def test_what_create_connection_is_told() -> None:
    with echo_server() as wss:
        port, asked = port_of(wss), Waiter()

        def create(options: Any) -> socket.socket:
            asked(dict(options), threading.current_thread().name)
            return socket.create_connection(('127.0.0.1', port), timeout=TIMEOUT)

        ws = WebSocket('ws://chat.example:22/foo', createConnection=create)
        options, thread = asked.get()
        assert (options['host'], options['port'], options['path']) == ('chat.example', 22, '/foo')
        assert thread == 'ws-agent'
        echoes(ws)


@pytest.mark.parametrize(
    ('create', 'kind', 'text'),
    [
        (lambda options: None, TypeError, 'createConnection must return a connected socket, not NoneType'),
        (lambda options: socket.socket(), OSError, 'createConnection must return a connected socket: '),
        (lambda options: options['hots'], KeyError, "'hots'"),
    ],
)
def test_one_that_creates_none(create: Any, kind: type[BaseException], text: str) -> None:
    error = failure('ws://chat.example', createConnection=create)
    assert isinstance(error, kind)
    assert str(error).startswith(text)


def test_a_unix_socket_goes_to_who_connects(tmp_path: Path) -> None:
    asked = Waiter()

    def create(options: Any) -> socket.socket:
        asked(options.socketPath)
        raise ConnectionRefusedError('enough')

    failure('ws://chat.example', createConnection=create, socketPath='/run/a.sock')
    assert asked.get() == ('/run/a.sock',)


def test_options_for_unix_sockets_and_names_leave_others_alone() -> None:
    with echo_server() as wss:
        echoes(WebSocket(url_of(wss), lookup=lambda host: pytest.fail('asked for an address'), family=4))
