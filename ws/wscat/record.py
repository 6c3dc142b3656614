"""The file of ``--output``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class RecordError(Exception):
    """The file can't be opened, or takes no more."""


class Record:
    """Holds what was added so far, at any time. Raises RecordError."""

    def __init__(self, path: str) -> None:
        self._path = path
        with self._complaining():
            self._file = open(path, 'wb')  # noqa: SIM115  # for as long as there are messages

    def add(self, data: bytes) -> None:
        with self._complaining():
            self._file.write(data)
            self._file.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # add() has raised it
            self._file.close()

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordError(f'--output: {self._path}: {error.strerror}') from None
