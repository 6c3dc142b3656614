"""Listening: what is bound, and sockets that are handed in."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from net.listeners import call, endpoints
from support import TIMEOUT

from ws.net.listen import BACKLOG, bind, check_descriptor, check_listening, take_over
from ws.net.resolver import Endpoint

# -- binding ----------------------------------------------------------------------------------------------------------


def test_a_port_in_use(sock: socket.socket) -> None:
    port = sock.getsockname()[1]
    with pytest.raises(OSError, match=f': 127.0.0.1:{port}$') as caught:
        bind(endpoints(port=port), BACKLOG)
    assert caught.value.errno == errno.EADDRINUSE


def test_an_address_of_another_machine() -> None:
    with pytest.raises(OSError, match=r'192\.0\.2\.1') as caught:
        bind([Endpoint(socket.AF_INET, ('192.0.2.1', 0))], BACKLOG)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_the_first_address_that_can_be_bound_is() -> None:
    with bind([Endpoint(socket.AF_INET, ('192.0.2.1', 0)), *endpoints()], BACKLOG) as sock:
        assert sock.getsockname()[0] == '127.0.0.1'


def test_no_address() -> None:
    with pytest.raises(OSError, match='no address to listen on'):
        bind([], BACKLOG)


def test_a_port_can_be_bound_again_at_once() -> None:
    """What is left of a server's connections must not keep its successor from starting."""
    with bind(endpoints(), BACKLOG) as sock:
        port = sock.getsockname()[1]
        with call(sock) as peer:
            accepted, _ = accept(sock)
            accepted.close()  # this end is in TIME_WAIT then
            assert peer.recv(1) == b''
    bind(endpoints(port=port), BACKLOG).close()


def accept(sock: socket.socket) -> tuple[socket.socket, Any]:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return sock.accept()
        except BlockingIOError:
            assert time.monotonic() < deadline


def test_all_addresses_of_both_families() -> None:
    try:
        sock = bind(endpoints('::'), BACKLOG)
    except OSError:
        pytest.skip('this machine has no IPv6')
    with sock, socket.create_connection(('127.0.0.1', sock.getsockname()[1]), timeout=TIMEOUT) as peer:
        accepted, address = accept(sock)
        with accepted:
            assert address[0] == '::ffff:127.0.0.1'
            assert address[1] == peer.getsockname()[1]


# -- a port that several share ----------------------------------------------------------------------------------------


needs_reuse_port = pytest.mark.skipif(not hasattr(socket, 'SO_REUSEPORT'), reason='no SO_REUSEPORT')


@needs_reuse_port
def test_a_port_that_is_shared() -> None:
    with bind(endpoints(), BACKLOG, reuse_port=True) as first:
        port = first.getsockname()[1]
        with bind(endpoints(port=port), BACKLOG, reuse_port=True) as second:
            assert second.getsockname() == first.getsockname()
        with pytest.raises(OSError, match=str(port)) as caught:  # both must want it
            bind(endpoints(port=port), BACKLOG)
        assert caught.value.errno == errno.EADDRINUSE


# -- sockets that are handed in ---------------------------------------------------------------------------------------


def make(kind: str, folder: Path) -> socket.socket:
    """A socket that can't be listened on, or can."""
    if kind == 'UDP':
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(('127.0.0.1', 0))
    elif kind == 'datagrams':
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    elif kind == 'not bound':
        sock = socket.socket()
    elif kind == 'bound':
        sock = socket.socket()
        sock.bind(('127.0.0.1', 0))
    elif kind == 'UNIX':
        sock = bind([Endpoint(socket.AF_UNIX, str(folder / 'socket'))], BACKLOG)
    elif kind == 'connected':
        with bind(endpoints(), BACKLOG) as listener:
            sock = call(listener)
    else:
        sock = bind(endpoints('::1' if kind == 'IPv6' else '127.0.0.1'), BACKLOG)
    return sock


@pytest.mark.parametrize('kind', ['IPv4', 'IPv6', 'UNIX'])
def test_what_may_be_handed_in(kind: str, tmp_path: Path) -> None:
    with make(kind, tmp_path) as given:
        given.setblocking(True)
        check_listening(given)
        check_descriptor(given.fileno())
        assert given.fileno() >= 0
        name = given.getsockname()
        with take_over(given) as taken:
            assert given.fileno() == -1
            assert taken.getsockname() == name
            assert not taken.getblocking()
        with pytest.raises(ValueError, match='closed, or was given to a server already'):
            check_listening(given)


def test_what_is_handed_in_by_its_number(sock: socket.socket) -> None:
    fd = os.dup(sock.fileno())
    with take_over(fd) as taken:
        assert taken.fileno() == fd
    with pytest.raises(OSError):
        os.fstat(fd)


@pytest.mark.parametrize(
    ('kind', 'text'),
    [
        ('UDP', 'stream socket, TCP or UNIX, not AF_INET SOCK_DGRAM'),
        ('datagrams', 'stream socket, TCP or UNIX, not AF_UNIX SOCK_DGRAM'),
        ('not bound', 'does not listen: call its listen'),
        ('bound', 'does not listen: call its listen'),
        ('connected', 'does not listen: call its listen'),
    ],
)
def test_what_may_not(kind: str, text: str, tmp_path: Path) -> None:
    with make(kind, tmp_path) as given:
        with pytest.raises(ValueError, match=f'^socket .*{text}'):
            check_listening(given)
        with pytest.raises(ValueError, match=f'^fd {given.fileno()}: socket .*{text}'):
            check_descriptor(given.fileno())
        os.fstat(given.fileno())  # it is open


@pytest.mark.parametrize('junk', ['x', 5, b'', object()])
def test_what_is_no_socket_at_all(junk: Any) -> None:
    with pytest.raises(TypeError, match=f'socket must be a socket, not {type(junk).__name__}'):
        check_listening(junk)


@pytest.mark.parametrize('junk', ['3', True, 3.0, b'3'])
def test_what_is_no_descriptor(junk: Any) -> None:
    with pytest.raises(TypeError, match=f'fd must be an int, not {type(junk).__name__}'):
        check_descriptor(junk)


def test_descriptors_of_other_things(tmp_path: Path) -> None:
    with (tmp_path / 'file').open('w') as file:
        with pytest.raises(ValueError, match=f'fd {file.fileno()} is not a socket: .*Socket operation on non-socket'):
            check_descriptor(file.fileno())
        file.write('still open')
    with pytest.raises(ValueError, match=r'fd 1000000 is not a socket: .*Bad file descriptor'):
        check_descriptor(1_000_000)
    for number in -1, 1 << 70:
        with pytest.raises(ValueError, match=f'fd {number} is not a socket'):
            check_descriptor(number)


def test_a_socket_of_tls_is_refused(tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    given = tls_contexts[0].wrap_socket(bind(endpoints(), BACKLOG), server_side=True)
    with given, pytest.raises(TypeError, match='without TLS: for that, give the options key and cert'):
        check_listening(given)


def test_a_system_that_does_not_tell_who_listens(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, 'SO_ACCEPTCONN')
    check_listening(sock)
