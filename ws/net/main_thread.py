"""What becomes of the main thread: whether the program reached its last line, and whether Ctrl-C came before that.

A program whose main module has reached its last line lives on while something is open, as in Node. Every other end is
Node's ``process.exit()``: ``sys.exit()``, an exception, leaving a prompt; it is how reloaders, application servers'
workers, test runners and consoles end. One fact tells them apart: a frame that is kept past its end, the outermost of
the main thread, stands at an instruction that returns exactly if it ran to its end.
"""

from __future__ import annotations

import contextlib
import opcode
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Optional

#: Modules that run as the main program, and show a prompt at which the user's code is typed.
_PROMPTS = ('IPython', '_pyrepl', 'bpython', 'code', 'ipykernel', 'ipykernel_launcher', 'pdb', 'ptpython')

_frames: list[FrameType] = []  # of the main program, outermost first
_typed = False  # they are one line, typed at a prompt
_over_before = False  # the main thread had ended before we could look
_interrupts: Optional[_Interrupts] = None


def look() -> None:
    """Find the main program's frames, unless that has been done; on any thread."""
    global _frames, _typed, _over_before
    frames = [] if _frames else _main_stack()
    if not frames:
        return
    outermost = frames[0]
    name = outermost.f_globals.get('__name__')
    # `python -m` runs the module in a function of runpy. Anything else is not ours to wait for: an interpreter that
    # another program has embedded, or one that is starting, and looks for what its site-packages want imported.
    if name in ('__main__', 'runpy'):
        # A profiler, say, runs a main module in its own, and passes over its SystemExit.
        _frames = [outermost, *filter(_is_main_module, frames[1:])]
        _typed = outermost.f_code.co_filename.startswith('<stdin>') and _is_terminal(0)
    else:
        _over_before = name == 'threading'  # waits for its other threads


def _main_stack() -> list[FrameType]:
    """The frames of the main thread, outermost first."""
    frame, frames = _current_frame(), []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _is_main_module(frame: FrameType) -> bool:
    return frame.f_globals.get('__name__') == '__main__' and frame.f_code.co_name == '<module>'


def _current_frame() -> Optional[FrameType]:
    """The main thread's."""
    main = threading.main_thread()
    if threading.current_thread() is main:
        return sys._getframe()
    return sys._current_frames().get(main.ident or 0)


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:  # closed
        return False


def reached_last_line() -> bool:
    """Whether the main program has run to its end, and nothing that a person types follows."""
    if not _frames:
        # Too late to know. Most programs do; an exception leaves its traces.
        return _over_before and getattr(sys, 'last_value', None) is None
    if _typed or sys.flags.inspect or os.environ.get('PYTHONINSPECT') or _is_prompt():
        return False
    return all(map(_returned, _frames))


def _is_prompt() -> bool:
    specs = [frame.f_globals.get('__spec__') for frame in _frames]
    return any(spec is not None and spec.name.partition('.')[0] in _PROMPTS for spec in specs)


def _returned(frame: FrameType) -> bool:
    code, last = frame.f_code.co_code, frame.f_lasti
    return 0 <= last < len(code) and opcode.opname[code[last]].startswith('RETURN_')


def forget() -> None:
    """Let go of the frames, which hold the main module's variables, and of all else: Python is going to tidy up."""
    global _frames, _interrupts
    _frames = []
    if _interrupts is not None:
        _interrupts.close()
        _interrupts = None


class _Interrupts:
    """Takes note of Ctrl-C. Servers like Werkzeug's and waitress end their loop at it, and say nothing.

    A handler of ours would be in the way of others, which look for Python's own. Python also writes the number of each
    signal to a descriptor that it is given, if nobody else wants that.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        try:
            other = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            if other != -1:
                signal.set_wakeup_fd(other)
        except ValueError:  # this is not the main thread
            self._reader.close()
            self._writer.close()
            raise

    def came(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return signal.SIGINT in self._reader.recv(65536)
        return False

    def close(self) -> None:
        current = signal.set_wakeup_fd(-1)
        if current not in (-1, self._writer.fileno()):
            signal.set_wakeup_fd(current)
        self._reader.close()
        self._writer.close()


def watch_for_interrupts() -> None:
    """Take note of Ctrl-C from now on; on the main thread, elsewhere it can't be done."""
    global _interrupts
    if _interrupts is None:
        # Another thread, a subinterpreter's main one; no descriptors: then the next start of the loop tries again.
        with contextlib.suppress(ValueError, OSError):
            _interrupts = _Interrupts()


def was_interrupted() -> bool:
    """Whether Ctrl-C has come since the last time this was asked, and done what it does by default: someone has caught
    the KeyboardInterrupt, or the main thread has died of it."""
    by_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return _interrupts is not None and _interrupts.came() and by_default


def renew_after_fork() -> None:
    """The descriptors are the parent's. The frames are the child's, too: copies, with which it goes on."""
    global _frames
    frames = _frames
    forget()
    _frames = frames
