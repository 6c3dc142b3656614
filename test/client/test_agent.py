"""Option `agent`: somebody else connects, through a proxy say."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
import trustme
from support import TIMEOUT, Log, Waiter, client, echo_server, end, read_head, server, until, wait_for

from ws import HandshakeError, WebSocket
from ws.client import connecting
from ws.net.workers import Workers


def connect(request: Any, options: Any) -> socket.socket:
    """An agent that takes the direct way."""
    return socket.create_connection((options.host, options.port), timeout=TIMEOUT)


def heard_of(ws: WebSocket) -> Log:
    return Log(ws, 'open', 'message', 'error')


def echoes(ws: WebSocket, log: Optional[Log] = None) -> None:
    """`log`: of what has happened to it by now."""
    log = log or heard_of(ws)
    assert log.get() == ('open',)
    ws.send('hi')
    assert log.get()[:2] == ('message', 'hi')
    end(ws)


# -- agents that connect ----------------------------------------------------------------------------------------------


def test_what_an_agent_is_told() -> None:
    asked = Waiter()

    def agent(request: Any, options: Any) -> socket.socket:
        asked(request, options, threading.current_thread().name)
        return connect(request, options)

    with echo_server() as wss:
        port = wss.address().port  # type: ignore[union-attr]
        ws = client(wss, '/path?query', agent=agent, headers={'X-A': 'b'})
        request, options, thread = asked.get()
        assert (request.method, request.url, request.headers['x-a']) == ('GET', '/path?query', 'b')
        assert request.headers['host'] == f'127.0.0.1:{port}'
        assert 29_000 < options.pop('timeout') < 30_000
        assert dict(options) == {
            'host': '127.0.0.1',
            'port': port,
            'secure': False,
            'socketPath': None,
            'path': '/path?query',
        }
        assert thread == 'ws-agent'
        echoes(ws)


@pytest.mark.parametrize(('limit', 'least', 'most'), [(0, 0, 0), (5000, 1000, 5000)])
def test_how_long_an_agent_has(limit: float, least: float, most: float) -> None:
    asked = Waiter()

    def agent(request: Any, options: Any) -> socket.socket:
        asked(options.timeout)
        return connect(request, options)

    with echo_server() as wss:
        ws = client(wss, agent=agent, handshakeTimeout=limit)
        assert least <= asked.get()[0] <= most
        echoes(ws)


def test_an_object_with_add_request() -> None:
    class Agent:
        addRequest = staticmethod(connect)

        def __call__(self, *arguments: Any) -> None:
            raise AssertionError('addRequest goes first')

    with echo_server() as wss:
        echoes(client(wss, agent=Agent()))


def test_a_way_through_a_proxy() -> None:
    """HTTP CONNECT, by a few lines of the user's."""
    with echo_server() as wss, socket.create_server(('127.0.0.1', 0)) as listener:
        seen = Waiter()

        def pump(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

        def proxy() -> None:
            near, _ = listener.accept()
            head = read_head(near)
            seen(head.split()[:2])
            host, _, port = head.split()[1].decode().rpartition(':')
            with near, socket.create_connection((host, int(port))) as far:
                near.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
                back = threading.Thread(target=pump, args=[far, near])
                back.start()
                pump(near, far)
                back.join(TIMEOUT)

        def agent(request: Any, options: Any) -> socket.socket:
            sock = socket.create_connection(listener.getsockname())
            sock.sendall(f'CONNECT {options.host}:{options.port} HTTP/1.1\r\n\r\n'.encode())
            assert read_head(sock).startswith(b'HTTP/1.1 200 ')
            return sock

        thread = threading.Thread(target=proxy)
        thread.start()
        echoes(client(wss, agent=agent))
        assert seen.get() == ([b'CONNECT', b'127.0.0.1:%d' % wss.address().port],)  # type: ignore[union-attr]
        thread.join(TIMEOUT)


@pytest.mark.parametrize('wraps', [False, True])
def test_tls_is_added_unless_it_is_there(wraps: bool) -> None:
    ca = trustme.CA()
    certificate = ca.issue_cert('localhost')
    context = ssl.create_default_context()
    ca.configure_trust(context)

    def agent(request: Any, options: Any) -> socket.socket:
        sock = connect(request, options)
        assert options.secure
        return context.wrap_socket(sock, server_hostname='localhost') if wraps else sock

    with server(
        cert=certificate.cert_chain_pems[0].bytes(), key=certificate.private_key_pem.bytes(), host='localhost'
    ) as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
        wait_for(wss, 'listening')
        url = f'wss://localhost:{wss.address().port}'  # type: ignore[union-attr]
        ws = WebSocket(url, {'agent': agent, 'ca': ca.cert_pem.bytes(), 'closeTimeout': 2000})
        wait_for(ws, 'open')
        received = Waiter()
        ws.on('message', lambda message: received(message))
        ws.send('x')
        assert received.get() == ('x',)
        end(ws)


@pytest.mark.parametrize(('host', 'heard'), [('localhost.', True), ('localhost', True), ('localhost..', False)])
def test_a_dot_behind_the_name_is_in_no_certificate(host: str, heard: bool) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert('localhost')
    with echo_server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
        port = wss.address().port  # type: ignore[union-attr]
        names = Waiter()

        def agent(request: Any, options: Any) -> socket.socket:
            names(options.host, request.headers['host'])
            return socket.create_connection(('127.0.0.1', port), timeout=TIMEOUT)

        options = {'agent': agent, 'ca': ca.cert_pem.bytes(), 'closeTimeout': 2000}
        if not heard:
            with pytest.raises(ValueError, match='invalid url'):
                WebSocket(f'wss://{host}:{port}', options)
            return
        echoes(WebSocket(f'wss://{host}:{port}', options))
        assert names.get() == (host, f'{host}:{port}')


def test_a_unix_socket_by_an_agent(tmp_path: Any) -> None:
    path = str(tmp_path / 'socket')
    asked = Waiter()

    def agent(request: Any, options: Any) -> socket.socket:
        asked(options.socketPath)
        return near

    near, far = socket.socketpair()
    ws = WebSocket(f'ws+unix://{path}', agent=agent)
    assert asked.get() == (path,)
    far.settimeout(TIMEOUT)
    assert read_head(far).startswith(b'GET / HTTP/1.1\r\n')
    end(ws)
    far.close()


# -- agents that don't ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('agent', [5, 'proxy:8080', {}, type('Agent', (), {'addRequest': 5})()])
def test_what_is_no_agent_raises(agent: Any) -> None:
    with pytest.raises(TypeError, match='agent must be callable, or have a method addRequest, not '):
        WebSocket('ws://127.0.0.1:1', agent=agent)


def _raises(error: BaseException) -> Callable[..., socket.socket]:
    def agent(request: Any, options: Any) -> socket.socket:
        raise error

    return agent


def _closed(request: Any, options: Any) -> socket.socket:
    sock = connect(request, options)
    sock.close()
    return sock


BAD_AGENTS: list[Any] = [
    (_raises(OSError('no way')), OSError, 'no way'),
    (_raises(LookupError('no proxy')), LookupError, 'no proxy'),
    (_raises(SystemExit('enough')), SystemExit, 'enough'),
    (lambda: None, TypeError, 'takes 0 positional arguments'),
    (lambda request, options: None, TypeError, 'agent must return a connected socket, not NoneType'),
    (lambda request, options: 5, TypeError, 'agent must return a connected socket, not int'),
    (lambda request, options: socket.socket(), OSError, 'agent must return a connected socket: '),
    (lambda request, options: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), OSError, 'connected socket: '),
    (_closed, OSError, 'agent must return a connected socket: '),
]


@pytest.mark.parametrize(('agent', 'kind', 'text'), BAD_AGENTS)
def test_an_agent_that_fails(agent: Any, kind: type[BaseException], text: str) -> None:
    with echo_server() as wss:
        log = Log(client(wss, agent=agent))
        name, error = log.get()
        assert name == 'error'
        assert isinstance(error, kind)
        assert text in str(error)
        assert log.get() == ('close', 1006, '')
        assert log.nothing(0.02)
        echoes(client(wss, agent=connect))


def test_an_agent_that_closes_its_socket_harms_nobody() -> None:
    """The descriptor would be that of somebody else's connection soon."""
    socks = []

    def agent(request: Any, options: Any) -> socket.socket:
        socks.append(connect(request, options))
        return socks[-1]

    with echo_server() as wss:
        ws = client(wss, agent=agent)
        wait_for(ws, 'open')
        socks[0].close()
        one, other = socket.socketpair()
        with one, other:
            received = Waiter()
            ws.on('message', lambda message: received(message))
            ws.send('x')
            assert received.get() == ('x',)
        end(ws)


def test_a_socket_that_is_in_use_is_left_alone() -> None:
    """An agent that keeps connections must not hand out the same one twice."""
    with echo_server() as wss:
        sock = socket.create_connection(('127.0.0.1', wss.address().port))  # type: ignore[union-attr]
        first = client(wss, agent=lambda request, options: sock)
        wait_for(first, 'open')
        log = Log(client(wss, agent=lambda request, options: sock))
        name, error = log.get()
        assert name == 'error'
        assert str(error) == 'agent must return a new socket for each connection'
        assert log.get() == ('close', 1006, '')
        received = Waiter()
        first.on('message', lambda message: received(message))
        first.send('hi')
        assert received.get() == ('hi',)
        end(first)


def test_an_agent_that_hangs_frees_its_place_when_its_client_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, '_agents', Workers('ws-agent', 1))
    release, asked = threading.Event(), Waiter()

    def agent(request: Any, options: Any) -> socket.socket:
        asked()
        release.wait(TIMEOUT)
        return connect(request, options)

    with echo_server() as wss:
        log = Log(client(wss, agent=agent, handshakeTimeout=2000), 'error', 'close')
        asked.get()
        ws = client(wss, agent=connect)
        its_log = heard_of(ws)
        assert log.until('close')
        echoes(ws, its_log)
        release.set()
        until(lambda: not any(thread.name == 'ws-agent' for thread in threading.enumerate()))


def test_agents_that_block_hold_nobody_up() -> None:
    release, entered = threading.Event(), Waiter()

    def agent(request: Any, options: Any) -> socket.socket:
        entered()
        release.wait(TIMEOUT)
        return connect(request, options)

    with echo_server() as wss:
        blocked = []
        for _ in range(20):
            ws = client(wss, agent=agent)
            blocked.append((ws, Log(ws, 'open')))
        for _ in blocked:
            entered.get()
        echoes(client(wss))
        echoes(client(wss, agent=connect))
        release.set()
        for ws, log in blocked:
            log.until('open')
            end(ws)


@pytest.mark.parametrize('how', ['timeout', 'terminate', 'close'])
def test_a_socket_that_comes_too_late_is_closed(how: str) -> None:
    release, entered = threading.Event(), Waiter()
    near, far = socket.socketpair()

    def agent(request: Any, options: Any) -> socket.socket:
        entered()
        release.wait(TIMEOUT)
        return near

    ws = WebSocket('ws://127.0.0.1:1', agent=agent, handshakeTimeout=2000 if how == 'timeout' else 0)
    log = Log(ws)
    entered.get()
    if how != 'timeout':
        getattr(ws, how)()
    error = log.get()[1]
    assert isinstance(error, HandshakeError)
    assert ('timed out' if how == 'timeout' else 'closed before') in str(error)
    assert log.get() == ('close', 1006, '')
    release.set()
    with far:
        far.settimeout(TIMEOUT)
        assert far.recv(1) == b''
    until(lambda: near.fileno() < 0)
    assert log.nothing(0.02)


@pytest.fixture
def not_a_websocket() -> Iterator[socket.socket]:
    near, far = socket.socketpair()
    with far:
        far.sendall(b'SSH-2.0-OpenSSH_9\r\n')
        yield near


def test_a_socket_whose_peer_speaks_something_else(not_a_websocket: socket.socket) -> None:
    log = Log(WebSocket('ws://127.0.0.1:1', agent=lambda request, options: not_a_websocket))
    assert isinstance(log.get()[1], HandshakeError)
    assert log.get() == ('close', 1006, '')
    assert not_a_websocket.fileno() < 0
