"""A program in a pseudo-terminal, with a person before it who types and reads the screen."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional

import pyte
from documents import ROOT
from screens import Screen, text_of
from support import TIMEOUT, until_at_rest

CTRL_A, CTRL_C, CTRL_D, CTRL_E, CTRL_G, CTRL_K, CTRL_R, CTRL_S = map(chr, (1, 3, 4, 5, 7, 11, 18, 19))
CTRL_U, CTRL_W, CTRL_Y, CTRL_Z = map(chr, (21, 23, 25, 26))
UP, DOWN, RIGHT, LEFT = '\x1b[A', '\x1b[B', '\x1b[C', '\x1b[D'
ENTER, TAB, ESC, BACKSPACE = '\r', '\t', '\x1b', '\x7f'

#: Opens its terminal, so that it is the one whose Ctrl-C reaches it, and becomes the program it is given.
_LAUNCH = 'import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])'


class Window:
    """The terminal. Closed at the end of a ``with`` statement, and the program killed if it still runs."""

    def __init__(
        self, *command: str, columns: int = 72, rows: int = 24, env: Optional[Mapping[str, str]] = None
    ) -> None:
        self._screen = Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        #: Everything the program has written, if not to the screen of another encoding.
        self.output = b''
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        self.resize(columns, rows)
        self._mode = termios.tcgetattr(slave)
        environment = {
            'PATH': os.environ['PATH'], 'TERM': 'xterm', 'PYTHONPATH': str(ROOT), 'PYTHONIOENCODING': 'utf-8',
            'LC_ALL': 'C.UTF-8', **(env or {}),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, '-c', _LAUNCH, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment,
        )
        self._slave = slave

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *details: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    # -- what a person does ------------------------------------------------------------------------------------------

    def type(self, keys: str, encoding: str = 'utf-8') -> None:
        self.send(keys.encode(encoding))

    def send(self, data: bytes) -> None:
        """Type these bytes; if they are many, look at the screen meanwhile."""
        deadline = time.monotonic() + TIMEOUT
        while data:
            assert time.monotonic() < deadline, f'{len(data)} bytes were not taken'
            if select.select([], [self._master], [], 0)[1]:
                data = data[os.write(self._master, data) :]
            if data:
                self._look(0.01)

    def pastes(self, text: str) -> None:
        """The same, as a terminal sends what is pasted."""
        self.until(lambda: b'\x1b[?2004h' in self.output)
        self.type(f'\x1b[200~{text}\x1b[201~')

    def until_read(self) -> None:
        """The program has taken all that was typed, and has come to rest."""
        unread = array.array('i', [1])
        while unread[0]:
            fcntl.ioctl(self._slave, termios.FIONREAD, unread)
            time.sleep(0.002)
        until_at_rest(self.process.pid)

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    # -- what a person sees ------------------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """The screen, without the blanks at the ends of lines and without what is empty below."""
        return '\n'.join(line.rstrip() for line in self._screen.display).rstrip('\n').split('\n')

    def scrollback(self) -> list[str]:
        """What has been scrolled off the screen."""
        return [text_of(row) for row in self._screen.history.top]

    def cursor(self) -> tuple[int, int]:
        """Row and column."""
        return self._screen.cursor.y, self._screen.cursor.x

    def colour(self, row: int) -> Any:
        """Of the first character of that row."""
        return self._screen.buffer[row][0].fg

    def shows(self, *lines: str, cursor: Optional[tuple[int, int]] = None) -> None:
        """The screen comes to show exactly these lines, and the cursor where it is said to be."""
        self.until(
            lambda: self.lines() == list(lines) and cursor in (None, self.cursor()),
            lambda: f'it shows {self.lines()} with the cursor at {self.cursor()}, not {list(lines)} {cursor or ""}',
        )

    def until(self, condition: Callable[[], Any], complaint: Callable[[], str] = lambda: 'it did not come') -> None:
        """Look at what comes until `condition` holds."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert self._look(deadline - time.monotonic()), complaint()

    def _look(self, seconds: float) -> bool:
        """Whether something came."""
        if seconds <= 0 or not select.select([self._master], [], [], seconds)[0]:
            return False
        data = os.read(self._master, 65536)
        self.output += data
        self._stream.feed(data)
        return True

    # -- how it ends -------------------------------------------------------------------------------------------------

    def ends(self, status: int = 0) -> None:
        """The program ends with that status, and leaves the terminal as it was."""
        assert self.process.wait(TIMEOUT) == status, self.lines()
        while self._look(0.05):
            pass
        assert termios.tcgetattr(self._slave) == self._mode
        assert 'Traceback' not in '\n'.join(self.lines())
        assert 'Exception ignored' not in '\n'.join(self.lines())

    def stopped(self) -> None:
        """The program is stopped, as by Ctrl-Z."""
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert termios.tcgetattr(self._slave) == self._mode

    def goes_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def python(*arguments: str, **options: Any) -> Iterator[Window]:
    """A Python program in a window."""
    with Window(sys.executable, '-W', 'error', *arguments, **options) as window:
        yield window
