"""What goes out: standard input, made into messages."""

from __future__ import annotations

import codecs
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Optional, Union

from .editor import END

#: How many bytes of standard input are read at once.
_READ_SIZE = 65536


class Lines:
    """Lines of text, as a pipe delivers them piece by piece."""

    def __init__(self, encoding: str, errors: str = 'strict') -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._begun: list[str] = []

    def feed(self, data: bytes) -> Iterator[Optional[str]]:
        """The lines that `data` completes; if there is none, the rest and END. Raises UnicodeError."""
        first, *others = self._decoder.decode(data, final=not data).split('\n')
        self._begun.append(first)
        for begun in others:
            yield self._finish()
            self._begun = [begun]
        if not data:
            if any(self._begun):
                yield self._finish()
            yield END

    def _finish(self) -> str:
        return ''.join(self._begun).removesuffix('\r')


class Pieces:
    """What a pipe delivers, as it comes, with or without an encoding."""

    def __init__(self, encoding: Optional[str], errors: str = 'strict') -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)(errors) if encoding else None

    def feed(self, data: bytes) -> Iterator[Union[str, bytes, None]]:
        """As :meth:`Lines.feed`."""
        piece = self._decoder.decode(data, final=not data) if self._decoder else data
        if piece:
            yield piece
        if not data:
            yield END


_drop_strings = re.compile(r'"(?:[^"\\]|\\.)*"').sub


class Values:
    """Puts lines together until they are JSON."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0  # of brackets
        self._size = 0
        self._tried = 0  # the size it had when it was last found incomplete

    @property
    def begun(self) -> bool:
        """Whether there is something that is not JSON yet."""
        return bool(self._lines)

    def add(self, line: str) -> Optional[str]:
        """The text that `line` completes, or None. Raises ValueError for what can't become JSON; it is forgotten."""
        if not (line.strip() or self._lines):
            return None
        self._lines.append(line)
        bare = _drop_strings('', line)
        self._depth += sum(map(bare.count, '[{')) - sum(map(bare.count, ']}'))
        self._size += len(line) + 1
        if self._depth > 0 and self._size < 2 * self._tried:  # so that many lines don't take quadratic time
            return None
        self._tried = self._size
        return self._try()

    def _try(self) -> Optional[str]:
        text = '\n'.join(self._lines)
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()):
                return None
            self._forget()
            raise ValueError(f'not JSON: {error}') from None
        except RecursionError:
            self._forget()
            raise ValueError('not JSON: too many levels') from None
        self._forget()
        return text

    def _forget(self) -> None:
        self._lines, self._depth, self._size, self._tried = [], 0, 0, 0


class Reader:
    """Reads standard input on a thread of its own, one piece each time it is asked to."""

    def __init__(self, deliver: Callable[[bytes], object]) -> None:
        self._deliver = deliver
        self._asked = threading.Semaphore(0)
        self._has_read = threading.Event()
        self._piece = b''
        threading.Thread(target=self._run, name='wscat-reader', daemon=True).start()

    def ask(self) -> None:
        """Have a piece delivered, once there is one."""
        self._has_read.clear()
        self._asked.release()

    def has_read(self, seconds: float) -> bool:
        """Whether what was asked for is there, or comes in that time, and is not the end."""
        return self._has_read.wait(seconds) and bool(self._piece)

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            try:
                # Not sys.stdin's buffer, whose lock would be held when the process ends.
                self._piece = os.read(0, _READ_SIZE)
            except OSError:  # the terminal is gone
                self._piece = b''
            self._has_read.set()
            self._deliver(self._piece)
