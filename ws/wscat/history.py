"""The lines that were entered, kept in a file from one session to the next."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

from .characters import is_text

if sys.platform == 'win32':  # where there is no line editor either
    fcntl: Any = None
else:
    import fcntl

#: How many lines are kept; there may be twice as many in the file for a while.
MAX_LINES = 1000
#: Longer ones, in characters, are not written.
MAX_LENGTH = 10_000
#: How often, in seconds, and how many times to try to have the file for oneself.
_RETRY, _RETRIES = 0.01, 100


def default_file() -> Path:
    """Where the XDG Base Directory Specification wants it. Raises RuntimeError if there is no home directory."""
    folder = Path(os.environ.get('XDG_STATE_HOME', ''))
    if not folder.is_absolute():
        folder = Path('~/.local/state').expanduser()
    return folder / 'wscat' / 'history'


class History:
    """A file of lines, the newest last, to which other processes may add at the same time.

    What can't be read or written is told to `warn`, once; from then on nothing is kept.
    """

    def __init__(self, file: Optional[str], warn: Callable[[str], object]) -> None:
        """`file` is None for :func:`default_file`."""
        self._file = file
        self._warn = warn
        self._broken = False
        self._count = 0  # of the lines in the file, as far as known

    def load(self) -> list[str]:
        """The newest lines."""
        lines: list[str] = []
        self._use(lambda file: lines.extend(self._trim(file)))
        return lines

    def add(self, lines: Sequence[str]) -> None:
        """Those of `lines` that are to be kept: none that begins with a space, is no text, or is very long."""
        kept = [line for line in lines if line[0] != ' ' and len(line) <= MAX_LENGTH and is_text(line)]
        if kept and not self._broken:
            self._use(lambda file: self._append(file, kept))

    def _use(self, action: Callable[[int], object]) -> None:
        """Open the file, have it for ourselves, and call `action` with its descriptor."""
        try:
            path = default_file() if self._file is None else Path(self._file)
            if self._file is None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _check(file)
                _lock(file)
                action(file)
            finally:
                os.close(file)
        except (OSError, RuntimeError) as error:
            self._broken = True
            self._warn(f'no history is kept: {_described(error)}')

    def _append(self, file: int, lines: Sequence[str]) -> None:
        os.lseek(file, 0, os.SEEK_END)
        _write(file, lines)
        self._count += len(lines)
        if self._count > 2 * MAX_LINES:
            self._trim(file)

    def _trim(self, file: int) -> Sequence[str]:
        """The newest lines; if there are too many in the file, these are all that is left there."""
        data = _read(file)
        lines = [line for line in data.decode(errors='replace').split('\n') if line]
        if len(lines) > MAX_LINES:
            del lines[:-MAX_LINES]
            os.lseek(file, 0, os.SEEK_SET)
            # In this order, so that nothing is lost should we be killed between the two.
            os.ftruncate(file, _write(file, lines))
        elif data and not data.endswith(b'\n'):
            os.write(file, b'\n')
        self._count = len(lines)
        return lines


def _described(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    return str(error)


def _check(file: int) -> None:
    """A device or a pipe could give us lines for ever, or none and make us wait."""
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise OSError('it is no ordinary file')


def _lock(file: int) -> None:
    """Wait, for a second at most, until no other process has it. Closing unlocks it."""
    for _ in range(_RETRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_RETRY)
        else:
            return
    raise TimeoutError('another process has locked it')


def _read(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(file, 1 << 20):
        pieces.append(piece)
    return b''.join(pieces)


def _write(file: int, lines: Sequence[str]) -> int:
    """Returns how many bytes that were."""
    data = ''.join(f'{line}\n' for line in lines).encode()
    written = 0
    while written < len(data):
        written += os.write(file, data[written:])
    return written
