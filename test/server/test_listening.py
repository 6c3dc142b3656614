"""Where servers listen: ports, UNIX sockets, sockets that are handed in; and how they leave these places."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import textwrap
from collections import Counter
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from sites import LOCAL, Pages, UnixHTTPServer
from support import PYTHONPATH, TIMEOUT, Log, Waiter, end, server, until, wait_for

from ws import WebSocket, WebSocketServer
from ws.options import SERVER_OPTIONS, merge
from ws.server.listening import Port, address_of, place_of

unix = pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='no UNIX sockets')
needs_reuse_port = pytest.mark.skipif(not hasattr(socket, 'SO_REUSEPORT'), reason='no SO_REUSEPORT')


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


def place(**options: Any) -> Any:
    return place_of(merge('WebSocketServer', SERVER_OPTIONS, options, {}))


def close(wss: WebSocketServer) -> None:
    closed = Waiter()
    wss.close(closed)
    assert closed.get() == ()


def works(wss: WebSocketServer, url: str, **options: Any) -> None:
    """A message goes there and back."""
    if not wss.listenerCount('connection'):
        wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
    ws = WebSocket(url, options)
    log = Log(ws, 'open', 'message', 'error')
    assert log.get() == ('open',)
    ws.send('hello')
    assert log.get()[1] == 'hello'
    end(ws, 'close')


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, None),
        ({'port': 80}, Port('0.0.0.0', 80, False)),
        ({'port': '80'}, Port('0.0.0.0', 80, False)),
        ({'port': ' 80 ', 'host': 'localhost'}, Port('localhost', 80, False)),
        pytest.param({'socketPath': '/tmp/x'}, '/tmp/x', marks=unix),
        pytest.param({'socketPath': Path('/tmp/x')}, '/tmp/x', marks=unix),
        pytest.param({'socketPath': '80'}, '80', marks=unix),
        pytest.param({'socketPath': '\0a\0b'}, '\0a\0b', marks=unix),
        # As in Node's listen(): a path where the port goes is what is no number.
        pytest.param({'port': '/tmp/x'}, '/tmp/x', marks=unix),
        pytest.param({'port': 'x.sock'}, 'x.sock', marks=unix),
        pytest.param({'port': '\0x'}, '\0x', marks=unix),
        pytest.param({'port': '80a'}, '80a', marks=unix),
    ],
)
def test_place(options: Any, expected: Any) -> None:
    assert place(**options) == expected


@pytest.mark.parametrize(
    ('options', 'error', 'text'),
    [
        ({'port': ''}, ValueError, 'port must be from 0 to 65535, not '),
        ({'port': '-1'}, ValueError, 'port must be from 0 to 65535, not -1'),
        ({'port': '8.5'}, ValueError, 'port must be from 0 to 65535, not 8.5'),
        ({'port': '65536'}, ValueError, 'port must be from 0 to 65535, not 65536'),
        ({'port': Path('/tmp/x')}, TypeError, 'port must be an int, not PosixPath'),
        ({'socketPath': ''}, ValueError, "socketPath must be the path of a UNIX socket, not ''"),
        ({'socketPath': '/tmp/x\0y'}, ValueError, 'socketPath must be the path of a UNIX socket'),
        ({'port': '/tmp/x\0y'}, ValueError, 'port must be the path of a UNIX socket'),
        ({'socketPath': 5}, TypeError, 'socketPath must be a str, not int'),
        ({'socketPath': b'/tmp/x'}, TypeError, 'socketPath must be a str, not bytes'),
        ({'socket': 5}, TypeError, 'socket must be a socket, not int'),
        ({'fd': '3'}, TypeError, 'fd must be an int, not str'),
        ({'port': 0, 'socketPath': '/tmp/x'}, TypeError, 'only one of port and socketPath'),
        ({'port': 0, 'fd': 3}, TypeError, 'only one of port and fd'),
        ({'port': 0, 'reusePort': 1}, TypeError, 'reusePort must be a bool, not int'),
        ({'socketPath': '/tmp/x', 'reusePort': True}, ValueError, 'reusePort needs a TCP port'),
        ({'noServer': True, 'reusePort': True}, ValueError, 'reusePort needs a TCP port'),
    ],
)
def test_wrong_options(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        WebSocketServer(options)


def test_systems_without_these_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, 'SO_REUSEPORT', raising=False)
    with pytest.raises(ValueError, match='reusePort: this system has no SO_REUSEPORT'):
        WebSocketServer(port=0, reusePort=True)
    monkeypatch.delattr(socket, 'AF_UNIX', raising=False)
    for name in 'socketPath', 'port':
        with pytest.raises(ValueError, match=f'{name}: this system has no UNIX sockets'):
            WebSocketServer({name: '/tmp/x'})


# -- addresses --------------------------------------------------------------------------------------------------------


def test_address_of() -> None:
    httpd = HTTPServer(LOCAL, Pages)
    assert address_of(httpd.socket) == {'address': '127.0.0.1', 'family': 'IPv4', 'port': httpd.server_port}
    httpd.server_close()
    assert address_of(httpd.socket) is None


def test_address_of_ipv6() -> None:
    class V6(HTTPServer):
        address_family = socket.AF_INET6

    with V6(('::1', 0), Pages) as httpd:
        assert address_of(httpd.socket) == {'address': '::1', 'family': 'IPv6', 'port': httpd.server_port}


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='no UNIX sockets')
def test_address_of_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / 'socket')
    with UnixHTTPServer(path, Pages) as httpd:  # type: ignore[arg-type]  # typeshed knows TCP only
        assert address_of(httpd.socket) == path


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has abstract names')
def test_address_of_an_abstract_unix_socket() -> None:
    with UnixHTTPServer(b'\0ws test', Pages) as httpd:  # type: ignore[arg-type]  # as above
        assert address_of(httpd.socket) == '\0ws test'


# -- UNIX sockets -----------------------------------------------------------------------------------------------------


@unix
@pytest.mark.parametrize('option', ['socketPath', 'port'])
def test_a_unix_socket(option: str, tmp_path: Path) -> None:
    path = str(tmp_path / 'socket')
    told = Waiter()
    wss = WebSocketServer({option: path}, told)
    assert wss.address() == path
    assert repr(wss) == f'<WebSocketServer {path}>'
    assert told.get() == ()
    wait_for(wss, 'listening')
    works(wss, f'ws+unix://{path}')
    close(wss)
    assert wss.address() is None
    assert not os.path.exists(path)


@unix
def test_a_unix_socket_with_tls(tmp_path: Path, authority: trustme.CA) -> None:
    path = str(tmp_path / 'socket')
    certificate = authority.issue_cert('localhost')
    wss = WebSocketServer(
        socketPath=path, key=certificate.private_key_pem.bytes(), cert=certificate.cert_chain_pems[0].bytes()
    )
    wss.on('connection', lambda ws: ws.send('secret'))

    def agent(request: Any, options: Any) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return sock

    ws = WebSocket('wss://localhost/', agent=agent, ca=authority.cert_pem.bytes())
    assert wait_for(ws, 'message')[0] == 'secret'
    end(ws)
    close(wss)


@unix
@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has abstract names')
def test_an_abstract_name() -> None:
    wss = WebSocketServer(socketPath='\0ws test_listening')
    assert wss.address() == '\0ws test_listening'
    assert repr(wss) == '<WebSocketServer @ws test_listening>'
    close(wss)


@unix
def test_a_path_that_is_taken_is_an_error_event(tmp_path: Path) -> None:
    path = str(tmp_path / 'socket')
    first = WebSocketServer(socketPath=path)
    second = WebSocketServer(socketPath=path)
    error = wait_for(second, 'error')[0]
    assert error.errno == errno.EADDRINUSE and path in str(error)
    assert second.address() is None
    works(first, f'ws+unix://{path}')
    close(first)


@unix
def test_the_file_of_a_killed_server_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / 'socket')
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(path)
        killed.listen()
    wss = WebSocketServer(socketPath=path)
    works(wss, f'ws+unix://{path}')
    close(wss)
    assert not os.path.exists(path)


@unix
def test_closed_by_its_constructor(tmp_path: Path) -> None:
    class Closed(WebSocketServer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.close()

    path = tmp_path / 'socket'
    wss = Closed(socketPath=path)
    wait_for(wss, 'close')
    until(lambda: not path.exists())


def start(program: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': PYTHONPATH, **options.pop('env', {})},
        **options,
    )


@unix
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_the_child_of_a_fork_leaves_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / 'socket')
    child = start(f"""
        import os, sys
        from ws import WebSocketServer

        wss = WebSocketServer(socketPath={path!r})
        if os.fork() == 0:
            wss.close()
            sys.exit()
        os.wait()
        print(os.path.exists({path!r}), flush=True)
        wss.close(lambda: print(os.path.exists({path!r}), flush=True))
    """)
    with child:
        assert child.communicate(timeout=TIMEOUT)[0].split() == ['True', 'False']
    assert child.returncode == 0


# -- one port for several ---------------------------------------------------------------------------------------------


@needs_reuse_port
def test_two_servers_share_a_port() -> None:
    first = WebSocketServer(port=0, host='127.0.0.1', reusePort=True)
    port = first.address().port  # type: ignore[union-attr]
    second = WebSocketServer(port=port, host='127.0.0.1', reusePort=True)
    assert second.address() == first.address()
    connected = Waiter()
    for wss in first, second:
        wss.on('connection', lambda this, ws: connected(this))
    clients = []
    served: Counter[Any] = Counter()
    while len(served) < 2:  # who gets which is up to the kernel
        assert len(clients) < 200
        clients.append(WebSocket(f'ws://127.0.0.1:{port}/'))
        served[connected.get()[0]] += 1
    for ws in clients:
        end(ws)
    close(first)
    last = WebSocket(f'ws://127.0.0.1:{port}/')
    assert connected.get()[0] is second
    end(last)
    close(second)


@needs_reuse_port
def test_a_port_that_others_do_not_share() -> None:
    with server() as wss:
        port = wss.address().port  # type: ignore[union-attr]
        refused = WebSocketServer(port=port, host='127.0.0.1', reusePort=True)
        assert wait_for(refused, 'error')[0].errno == errno.EADDRINUSE


@needs_reuse_port
def test_processes_share_a_port() -> None:
    """Each gets its part of the connections, and what one leaves goes to the others."""
    with socket.socket() as reserved:  # bound, and not listening: nobody else gets this port
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(('127.0.0.1', 0))
        port = reserved.getsockname()[1]
        workers = [
            start(f"""
                import os, sys
                from ws import WebSocketServer

                wss = WebSocketServer(port={port}, host='127.0.0.1', reusePort=True)
                wss.on('connection', lambda ws: ws.send(os.getpid()))
                wss.on('listening', lambda: print('listening', flush=True))
                sys.stdin.read()
                wss.close()
            """, stdin=subprocess.PIPE)
            for _ in range(3)
        ]  # fmt: skip
        for worker in workers:
            assert worker.stdout is not None and worker.stdout.readline() == 'listening\n'
        served: Counter[int] = Counter()
        while len(served) < 3:
            assert sum(served.values()) < 500
            ws = WebSocket(f'ws://127.0.0.1:{port}/')
            served[int(wait_for(ws, 'message')[0])] += 1
            end(ws)
        assert set(served) == {worker.pid for worker in workers}
        for worker in workers:
            worker.communicate(timeout=TIMEOUT)
            assert worker.returncode == 0


# -- sockets that are handed in ---------------------------------------------------------------------------------------


def listening(kind: str, folder: Path) -> socket.socket:
    if kind == 'UNIX':
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(folder / 'socket'))
        sock.listen()
        return sock
    family, host = (socket.AF_INET6, '::1') if kind == 'IPv6' else (socket.AF_INET, '127.0.0.1')
    return socket.create_server((host, 0), family=family)


def url_of(address: Any) -> str:
    if isinstance(address, str):
        return f'ws+unix://{address}'
    host = f'[{address.address}]' if address.family == 'IPv6' else address.address
    return f'ws://{host}:{address.port}/'


each_kind = pytest.mark.parametrize('kind', ['IPv4', 'IPv6', pytest.param('UNIX', marks=unix)])


@each_kind
def test_a_socket_that_is_handed_in(kind: str, tmp_path: Path) -> None:
    """It is the server's from then on; but the file is that of whoever has bound it."""
    with listening(kind, tmp_path) as given:
        where = address_of(given)
        early = WebSocket(url_of(where))  # the kernel takes it already
        wss = WebSocketServer(socket=given)
        assert given.fileno() == -1
        assert wss.address() == where
        given.close()
        wait_for(wss, 'listening')
        works(wss, url_of(where))
        end(early)
        close(wss)
    if kind == 'UNIX':
        assert (tmp_path / 'socket').exists()
    ws = WebSocket(url_of(where))
    assert isinstance(wait_for(ws, 'error')[0], OSError)


@each_kind
def test_a_descriptor_that_is_handed_in(kind: str, tmp_path: Path) -> None:
    fd = listening(kind, tmp_path).detach()
    wss = WebSocketServer(fd=fd)
    works(wss, url_of(wss.address()))
    close(wss)
    with pytest.raises(OSError):
        os.fstat(fd)


def test_a_socket_that_is_handed_in_with_tls(tmp_path: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert('localhost', '127.0.0.1')
    wss = WebSocketServer(
        socket=listening('IPv4', tmp_path),
        key=certificate.private_key_pem.bytes(),
        cert=certificate.cert_chain_pems[0].bytes(),
    )
    port = wss.address().port  # type: ignore[union-attr]
    works(wss, f'wss://127.0.0.1:{port}/', ca=authority.cert_pem.bytes())
    close(wss)


@pytest.mark.parametrize('options', [{'path': 'x'}, {'closeTimeout': -1}, {'key': 'x', 'cert': 'y'}])
def test_what_is_handed_in_to_a_server_that_is_refused_stays_open(options: Any, tmp_path: Path) -> None:
    with listening('IPv4', tmp_path) as given:
        for how in {'socket': given}, {'fd': given.fileno()}:
            with pytest.raises((ValueError, OSError)):
                WebSocketServer({**options, **how})
            socket.create_connection(given.getsockname(), timeout=TIMEOUT).close()


def test_a_socket_that_does_not_listen() -> None:
    with socket.socket() as given:
        with pytest.raises(ValueError, match='socket does not listen: call its listen'):
            WebSocketServer(socket=given)
        assert given.fileno() >= 0


def test_a_descriptor_that_is_closed_meanwhile(tmp_path: Path) -> None:
    fd = listening('IPv4', tmp_path).detach()

    class Late(WebSocketServer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            os.close(fd)

    assert wait_for(Late(fd=fd), 'error')[0].errno == errno.EBADF


@pytest.mark.skipif(os.name != 'posix', reason='descriptors are inherited otherwise')
def test_socket_activation(tmp_path: Path) -> None:
    """As systemd starts a program: the socket is descriptor 3."""
    given = listening('IPv4', tmp_path)
    address = address_of(given)
    child = start("""
            import os
            from ws import WebSocketServer

            assert int(os.environ['LISTEN_FDS']) == 1
            wss = WebSocketServer(fd=3)
            wss.on('connection', lambda ws: (ws.send('activated'), wss.close()))
        """, env={'LISTEN_FDS': '1'}, pass_fds=[3], preexec_fn=lambda: os.dup2(given.fileno(), 3))  # fmt: skip
    with child:
        given.close()
        ws = WebSocket(url_of(address))
        log = Log(ws, 'message', 'close')
        assert log.get()[1] == 'activated'
        assert log.get() == ('close', 1001, '')
        assert child.wait(TIMEOUT) == 0


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_processes_share_a_socket_of_their_parent(tmp_path: Path) -> None:
    given = listening('IPv4', tmp_path)
    address = address_of(given)
    fd = given.fileno()
    workers = [
        start(f"""
            import os, sys
            from ws import WebSocketServer

            wss = WebSocketServer(fd={fd})
            wss.on('connection', lambda ws: ws.send(os.getpid()))
            wss.on('listening', lambda: print('listening', flush=True))
            sys.stdin.read()
            wss.close()
        """, stdin=subprocess.PIPE, pass_fds=[fd])
        for _ in range(2)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == 'listening\n'
    given.close()
    pids = {worker.pid for worker in workers}
    for worker in workers:  # one is enough, and each will do
        ws = WebSocket(url_of(address))
        pid = int(wait_for(ws, 'message')[0])
        assert pid in pids
        end(ws)
        pids.discard(worker.pid)
        worker.communicate(timeout=TIMEOUT)
        assert worker.returncode == 0
