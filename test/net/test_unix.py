"""UNIX sockets in the file system: those that are in the way, and the one that is ours."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import TIMEOUT

from ws.net.listen import BACKLOG, bind
from ws.net.resolver import Endpoint
from ws.net.unix import SocketFile, printable

pytestmark = pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='no UNIX sockets')


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / 'socket')


def bound(path: str) -> socket.socket:
    return bind([Endpoint(socket.AF_UNIX, path)], BACKLOG)


def connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT)
        return sock.connect_ex(path) == 0


@pytest.fixture
def sock(path: str) -> Iterator[socket.socket]:
    with bound(path) as sock:
        yield sock


def test_it_listens(sock: socket.socket, path: str) -> None:
    assert connects(path)
    assert sock.getsockname() == path


def test_the_umask_says_who_may_connect(path: str) -> None:
    before = os.umask(0o077)
    try:
        bound(path).close()
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o700


def test_what_a_killed_process_left_behind_is_replaced(path: str) -> None:
    bound(path).close()
    assert os.path.exists(path) and not connects(path)
    with bound(path):
        assert connects(path)


def test_a_socket_that_somebody_listens_on_is_not(sock: socket.socket, path: str) -> None:
    with pytest.raises(OSError, match=rf': {path}$') as caught:
        bound(path)
    assert caught.value.errno == errno.EADDRINUSE
    assert connects(path)


def test_a_socket_whose_queue_is_full_is_not(path: str) -> None:
    """Who asks must not have to wait for an answer."""
    with bind([Endpoint(socket.AF_UNIX, path)], 0) as sock:
        callers = []
        while True:
            caller = socket.socket(socket.AF_UNIX)
            callers.append(caller)
            caller.setblocking(False)
            if caller.connect_ex(path):
                break
        with pytest.raises(OSError, match=path) as caught:
            bound(path)
        for caller in callers:
            caller.close()
        assert caught.value.errno == errno.EADDRINUSE
        assert os.path.exists(path)
        assert sock.fileno() >= 0


def test_a_datagram_socket_at_work_is_not(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        with pytest.raises(OSError, match=path):
            bound(path)
        assert os.path.exists(path)


@pytest.mark.parametrize('kind', ['file', 'folder', 'link'])
def test_what_is_no_socket_stays(path: str, kind: str, tmp_path: Path) -> None:
    if kind == 'file':
        Path(path).write_text('mine')
    elif kind == 'folder':
        os.mkdir(path)
    else:
        bound(str(tmp_path / 'other')).close()
        os.symlink(tmp_path / 'other', path)
    with pytest.raises(OSError, match=path) as caught:
        bound(path)
    assert caught.value.errno == errno.EADDRINUSE
    assert os.path.lexists(path)


def test_a_stale_socket_that_is_not_ours_to_remove(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bound(path).close()

    def unlink(path: str) -> None:
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(os, 'unlink', unlink)
    with pytest.raises(OSError, match=path) as caught:
        bound(path)
    assert caught.value.errno == errno.EADDRINUSE


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    path = str(tmp_path / 'none' / 'socket')
    with pytest.raises(FileNotFoundError, match=f'No such file or directory: {path}'):
        bound(path)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    path = str(tmp_path / ('x' * 200))
    with pytest.raises(OSError, match=f'The path of a UNIX socket is too long: {path}') as caught:
        bound(path)
    assert caught.value.errno == errno.ENAMETOOLONG


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has abstract names')
def test_an_abstract_name() -> None:
    name = '\0ws test_unix'
    with bound(name):
        assert connects(name)
        with pytest.raises(OSError, match=r': @ws test_unix$') as caught:
            bound(name)
        assert caught.value.errno == errno.EADDRINUSE
        SocketFile(name).remove()  # there is none
        assert connects(name)
    assert printable(name) == '@ws test_unix'


# -- the file at the end ----------------------------------------------------------------------------------------------


def test_our_file_is_removed(sock: socket.socket, path: str) -> None:
    file = SocketFile(path)
    file.remove()
    assert not os.path.exists(path)
    file.remove()


def test_also_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with bound('relative'):
        file = SocketFile('relative')
        monkeypatch.chdir('/')
        file.remove()
    assert not (tmp_path / 'relative').exists()


@pytest.mark.parametrize('kind', ['socket', 'file'])
def test_what_has_taken_its_place_stays(sock: socket.socket, path: str, kind: str) -> None:
    file = SocketFile(path)
    os.unlink(path)
    if kind == 'file':
        Path(path).write_text('of somebody else')
        file.remove()
    else:
        with bound(path):
            file.remove()
            assert connects(path)
    assert os.path.exists(path)
