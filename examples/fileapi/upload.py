"""Takes files as they come over one connection, and writes them below a folder, and nowhere else.

Each is announced by a header, JSON with `path` (its parts separated by slashes), `size` (bytes) and `modified`
(milliseconds since 1970); its bytes follow in chunks. The path is whatever somebody chose to send: it is checked here.
"""

import contextlib
import json
import os
import re
from tempfile import NamedTemporaryFile
from typing import NamedTuple

MAX_HEADER = 8192  # characters
MAX_PATH = 1024  # bytes
MAX_NAME = 255  # bytes, of each part: more than that no usual file system takes


class Refused(Exception):
    """A file is not taken; the text says why."""


class Header(NamedTuple):
    path: str
    size: int
    modified: int


class Upload:
    """The files that come over one connection, one after the other. May be used by one thread at a time."""

    def __init__(self, folder):
        self._folder = folder.resolve()
        self._file = None  # what is written, under a name of its own until it is complete
        self._passing = False  # over the chunks of a file that was refused
        #: The path of the last file that was announced, as it was sent.
        self.path = None

    def begin(self, text):
        """A header. Returns the bytes received so far, none. Raises Refused."""
        self.discard()
        self.path = None
        with self._taking():
            self._header = parse(text)
            self.path = self._header.path
            self._target = place(self._folder, self.path)
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._file = NamedTemporaryFile(dir=self._target.parent, prefix='.upload-', delete=False)  # noqa: SIM115
            self._received = 0
            return self._written()

    def add(self, chunk):
        """The next bytes of the file. Returns how many there are so far, or None if it was refused before. Raises
        Refused."""
        if self._passing:
            return None
        with self._taking():
            if self._file is None:
                raise Refused('no file was announced')
            self._received += len(chunk)
            if self._received > self._header.size:
                raise Refused('there are more bytes than announced')
            self._file.write(chunk)
            return self._written()

    @contextlib.contextmanager
    def _taking(self):
        """Of a file that we refuse, or the system, nothing is left, and what is still to come of it is passed over."""
        self._passing = True
        try:
            yield
        except Refused:
            self.discard()
            raise
        except (OSError, OverflowError) as error:  # the disk is full, a file is where a folder should be, …
            self.discard()
            raise Refused(getattr(error, 'strerror', None) or str(error)) from None
        self._passing = False

    def _written(self):
        if self._received == self._header.size:
            self._file.close()
            os.utime(self._file.name, (self._header.modified / 1000,) * 2)
            os.replace(self._file.name, self._target)  # a link that is there is replaced, and not followed
            self._file = None
        return self._received

    def discard(self):
        """Remove what has come of a file that is not complete."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # a full disk takes not even what is left in a buffer
                file.close()
            with contextlib.suppress(OSError):
                os.unlink(file.name)


def parse(text):
    """The header in `text`. Raises Refused."""
    if len(text) > MAX_HEADER:
        raise Refused('the header is too long')
    try:
        fields = json.loads(text)
        path, size, modified = fields['path'], fields['size'], fields['modified']
        path.encode()
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise Refused('the header is not understood') from None
    if not isinstance(path, str) or type(size) is not int or type(modified) is not int:
        raise Refused('the header is not understood')
    if size < 0 or abs(modified) > 10**14:
        raise Refused('no file has such a size or time')
    return Header(path, size, modified)


def place(folder, path):
    """Where the file called `path` goes: below `folder`, which is resolved. Raises Refused."""
    parts = path.split('/')
    if re.search('[\x00-\x1f\x7f]', path):
        raise Refused('there is a control character in the path')
    if '\\' in path:
        raise Refused('there is a backslash in the path')
    if path.startswith('/') or any(re.match('[A-Za-z]:', part) for part in parts):
        raise Refused('the path is absolute')
    if '..' in parts:
        raise Refused('the path leads out of the folder')
    if '' in parts or '.' in parts:
        raise Refused('a name in the path is missing')
    if len(path.encode()) > MAX_PATH or any(len(part.encode()) > MAX_NAME for part in parts):
        raise Refused('the path is too long')
    try:
        parent = folder.joinpath(*parts[:-1]).resolve()  # where symbolic links lead, as far as it exists
    except (OSError, RuntimeError):  # they lead round in a circle
        raise Refused('the path leads nowhere') from None
    if parent != folder and folder not in parent.parents:
        raise Refused('the path leads out of the folder')
    return parent / parts[-1]
