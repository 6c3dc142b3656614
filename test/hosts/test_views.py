"""Views that turn their requests into WebSockets: what comes ahead is not lost, the host has nothing to complain of."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme
from documents import free_port
from hosts.process import BIN, Host, Hosts, gunicorn, needs, page, until, until_page
from support import HANDSHAKE, TIMEOUT, read_head

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(120)]

SERVER = """
    from ws import WebSocketServer

    wss = WebSocketServer(noServer=True)


    @wss.on('connection')
    def connection(ws, request):
        ws.send('hello')
        ws.on('message', lambda message: ws.send('%s %s' % (request.path, message)))
"""
FLASK = """
    from flask import Flask, request
    from chat import wss

    app = Flask(__name__)


    @app.route('/socket', websocket=True)
    def socket():
        return wss.handleUpgrade(request)


    @app.route('/page')
    def page():
        return 'clients: %d' % len(wss.clients)
"""
DJANGO = """
    import sys
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path
    from chat import wss

    settings.configure(
        DEBUG=True,
        ROOT_URLCONF=__name__,
        SECRET_KEY='secret',
        ALLOWED_HOSTS=['*'],
        MIDDLEWARE=['django.middleware.common.CommonMiddleware', 'django.middleware.gzip.GZipMiddleware'],
    )


    def socket(request):
        return wss.handleUpgrade(request)


    def page(request):
        return HttpResponse('clients: %d' % len(wss.clients))


    urlpatterns = [path('socket', socket), path('page', page)]
    app = get_wsgi_application()

    if __name__ == '__main__':
        execute_from_command_line(sys.argv)
"""
PAGE = 'clients: %d'


@pytest.fixture
def site(hosts: Hosts) -> Hosts:
    """The application, for both frameworks."""
    hosts.file('chat.py', SERVER)
    hosts.file('with_flask.py', FLASK)
    hosts.file('with_django.py', DJANGO)
    return hosts


def quiet_gunicorn(site: Hosts, port: int, *options: object) -> Host:
    """It says nothing, unless something is wrong."""
    return gunicorn(site, port, '--log-level', 'warning', *options)


def until_nobody_is_connected(port: int) -> None:
    """Also: until it serves."""
    until_page(port, PAGE % 0, '/page')


def frame(text: bytes) -> bytes:
    """A masked one; the mask changes nothing."""
    return bytes([0x81, 0x80 | len(text)]) + b'\0\0\0\0' + text


@contextlib.contextmanager
def connected(port: int, tls: bool = False) -> Iterator[socket.socket]:
    with socket.create_connection(('127.0.0.1', port), TIMEOUT) as sock:
        if not tls:
            yield sock
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(sock) as wrapped:
            yield wrapped


class Frames:
    """The unmasked frames that come, all of them short ones of text."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def next(self) -> str:
        opcode, size = self._read(2)
        assert opcode == 0x81
        return self._read(size).decode()

    def _read(self, size: int) -> bytes:
        data = b''
        while len(data) < size:
            piece = self._sock.recv(size - len(data))
            assert piece, f'the connection ended after {data!r}'
            data += piece
        return data


def talks(port: int, tls: bool = False) -> None:
    """A client that sends a message along with its request, and one later."""
    with connected(port, tls) as sock:
        sock.sendall(HANDSHAKE % b'/socket' + frame(b'ahead'))
        assert read_head(sock).startswith(b'HTTP/1.1 101 ')
        frames = Frames(sock)
        assert [frames.next(), frames.next()] == ['hello', '/socket ahead']
        if not tls:
            until_page(port, PAGE % 1, '/page')  # an earlier one may be about to leave
            assert page(port, '/page') == PAGE % 1
        sock.sendall(frame(b'later'))
        assert frames.next() == '/socket later'


def is_refused(port: int, tls: bool = False) -> None:
    with connected(port, tls) as sock:
        sock.sendall((HANDSHAKE % b'/socket').replace(b'Sec-WebSocket-Version: 13', b'Sec-WebSocket-Version: 99'))
        assert read_head(sock).startswith(b'HTTP/1.1 400 ')


WORKERS: dict[str, tuple[str, ...]] = {
    'sync': (),
    'gthread': ('--threads', '4'),
    'gthread, preload': ('--threads', '4', '--preload'),
    'gthread, 2 workers': ('--threads', '2', '--workers', '2'),
    'gthread, no keep-alive': ('--threads', '2', '--keep-alive', '0'),
}


@needs('gunicorn')
@pytest.mark.parametrize(
    ('worker', 'module'), [*((worker, 'with_flask') for worker in WORKERS), ('gthread', 'with_django')]
)
def test_gunicorn(site: Hosts, worker: str, module: str) -> None:
    with free_port() as port:
        host = quiet_gunicorn(site, port, *WORKERS[worker], f'{module}:app')
        until_nobody_is_connected(port)
        if '--workers' in WORKERS[worker]:  # the page may be the other one's
            with connected(port) as sock:
                sock.sendall(HANDSHAKE % b'/socket' + frame(b'ahead'))
                read_head(sock)
                assert [Frames(sock).next() for _ in range(2)] == ['hello', '/socket ahead']
        else:
            talks(port)
            talks(port)
        is_refused(port)
        until_nobody_is_connected(port)
        host.signal(signal.SIGTERM)
        assert host.ends() == 0
    assert host.output == ''


@needs('gunicorn')
@needs('gevent')
def test_gunicorn_with_gevent(site: Hosts) -> None:
    with free_port() as port:
        host = quiet_gunicorn(site, port, '--worker-class', 'gevent', 'with_flask:app')
        until_nobody_is_connected(port)
        talks(port)
        is_refused(port)
        until_nobody_is_connected(port)
        host.signal(signal.SIGTERM)
        assert host.ends() == 0
    assert host.output == ''


@needs('gunicorn')
@pytest.mark.parametrize('worker', ['sync', 'gthread'])
def test_gunicorn_with_tls(site: Hosts, worker: str) -> None:
    certificate = trustme.CA().issue_cert('localhost')
    certificate.private_key_and_cert_chain_pem.write_to_path(site.folder / 'pem')
    with free_port() as port:
        host = quiet_gunicorn(site, port, '--certfile', 'pem', '--keyfile', 'pem', *WORKERS[worker], 'with_flask:app')
        until(lambda: answers(port))
        talks(port, tls=True)
        talks(port, tls=True)
        is_refused(port, tls=True)
        host.signal(signal.SIGTERM)
        assert host.ends() == 0
    assert host.output == ''


def answers(port: int) -> bool:
    try:
        with connected(port, tls=True):
            return True
    except OSError:
        return False


@pytest.mark.parametrize('options', [(), ('--without-threads',)], ids=['threads', 'no threads'])
def test_flask_run(site: Hosts, options: tuple[str, ...]) -> None:
    with free_port() as port:
        host = site.python('-m', 'flask', '--app', 'with_flask', 'run', '--port', port, *options)
        until_nobody_is_connected(port)
        talks(port)
        is_refused(port)
        until_nobody_is_connected(port)
    complains_of_nothing(host)


@pytest.mark.parametrize('options', [(), ('--nothreading',)], ids=['threads', 'no threads'])
def test_django_runserver(site: Hosts, options: tuple[str, ...]) -> None:
    with free_port() as port:
        host = site.python('with_django.py', 'runserver', '--noreload', *options, port)
        until_nobody_is_connected(port)
        talks(port)
        is_refused(port)
        until_nobody_is_connected(port)
    complains_of_nothing(host)


def complains_of_nothing(host: Host) -> None:
    assert 'Traceback' not in host.output
    assert 'rror' not in host.output


# -- many at once -----------------------------------------------------------------------------------------------------

MANY = 1000


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Enough for both ends; a child inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * MANY:
        pytest.skip(f'this machine allows a process no more than {hard} descriptors')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Reader:
    """Somebody who reads pages all the time."""

    def __init__(self, port: int) -> None:
        self.pages = 0
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            assert page(self._port, '/page').startswith('clients: ')
            self.pages += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@needs('gunicorn')
@pytest.mark.usefixtures('many_descriptors')
def test_a_thousand_in_one_worker_with_four_threads(site: Hosts) -> None:
    """They hold no thread: pages are served all the while."""
    with free_port() as port, contextlib.ExitStack() as stack:
        host = quiet_gunicorn(site, port, '--threads', '4', 'with_flask:app')
        until_nobody_is_connected(port)
        reader = Reader(port)
        stack.callback(reader.stop)
        clients = []
        for _ in range(MANY):
            sock = stack.enter_context(connected(port))
            sock.sendall(HANDSHAKE % b'/socket' + frame(b'ahead'))
            clients.append((sock, Frames(sock)))
        for sock, frames in clients:
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            assert [frames.next(), frames.next()] == ['hello', '/socket ahead']
        assert page(port, '/page') == PAGE % MANY
        before = reader.pages
        for sock, _ in clients:
            sock.sendall(frame(b'later'))
        for _, frames in clients:
            assert frames.next() == '/socket later'
        until(lambda: reader.pages > before)
        stack.close()
        until_nobody_is_connected(port)
        host.signal(signal.SIGTERM)
        assert host.ends() == 0
    assert host.output == ''


# -- hosts that keep their connections --------------------------------------------------------------------------------


@needs('waitress')
def test_waitress(site: Hosts) -> None:
    with free_port() as port:
        host = site.python('-m', 'waitress', '--listen', f'127.0.0.1:{port}', 'with_flask:app')
        says_so(host, port, 'waitress')


@needs('uwsgi', 'uwsgi')
def test_uwsgi(site: Hosts) -> None:
    with free_port() as port:
        host = site.start(
            BIN / 'uwsgi', '--http-socket', f'127.0.0.1:{port}', '--module', 'with_flask:app', '--enable-threads'
        )
        says_so(host, port, 'uWSGI')


def says_so(host: Host, port: int, name: str) -> None:
    """In one sentence; pages go on."""
    until_nobody_is_connected(port)
    with connected(port) as sock:
        sock.sendall(HANDSHAKE % b'/socket')
        assert b' 500 ' in read_head(sock)
    host.prints(f'WebSocketError: {name} keeps its connections, .* give the WebSocketServer a port of its own$')
    assert page(port, '/page') == PAGE % 0
