"""What becomes of the main thread: whether the program reached its last line, and whether Ctrl-C came before that.

A program whose main module has reached its last line lives on while something is open, as in Node. Every other end is
Node's ``process.exit()``: ``sys.exit()``, an exception, leaving a prompt; it is how reloaders, application servers'
workers, test runners and consoles end. One fact tells them apart: a frame that is kept past its end, the outermost of
the main thread, stands at an instruction that returns exactly if it ran to its end.
"""

from __future__ import annotations

import contextlib
import functools
import opcode
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any, Optional

#: Modules that run as the main program, and show a prompt at which the user's code is typed.
_PROMPTS = ('IPython', '_pyrepl', 'bpython', 'code', 'ipykernel', 'ipykernel_launcher', 'pdb', 'ptpython')

# These are set by :func:`look`, at import or by whoever starts the loop under the lock of that, and else belong to the
# main thread.
_frames: list[FrameType] = []  # of the main program, outermost first
_typed = False  # they are one line, typed at a prompt
_over_before = False  # the main thread had ended before we could look
_interrupts: Optional[_Interrupts] = None


def look() -> None:
    """Find the main program's frames, unless that has been done; on any thread."""
    if _frames:
        return
    if threading.current_thread() is threading.main_thread():
        _look_at(sys._getframe())
        return
    frames = frames_of_others()
    if frames is None:
        _have_main_thread_look()
    else:
        _look_at(frames.get(threading.main_thread().ident or 0))


def frames_of_others() -> Optional[dict[int, FrameType]]:
    """Where each thread is; None if there is no GIL: the others go on meanwhile, and who looks at the frames of a
    thread that runs may crash the process."""
    is_gil_enabled = getattr(sys, '_is_gil_enabled', None)
    return sys._current_frames() if is_gil_enabled is None or is_gil_enabled() else None


def _have_main_thread_look() -> None:
    """Between two of its steps. Where that can't be had, the frames stay unknown."""
    with contextlib.suppress(ImportError, AttributeError):
        import ctypes

        ctypes.pythonapi.Py_AddPendingCall(_pending_look(), None)


@functools.cache  # the interpreter has its address
def _pending_look() -> Any:
    import ctypes

    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_look_in_passing)


def _look_in_passing(_: object) -> int:
    if not _frames:
        _look_at(sys._getframe().f_back)
    return 0


def _look_at(innermost: Optional[FrameType]) -> None:
    """`innermost` is where the main thread is."""
    global _frames, _typed, _over_before
    frames = _stack(innermost)
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


def _stack(innermost: Optional[FrameType]) -> list[FrameType]:
    """The frames of a thread, outermost first."""
    frame, frames = innermost, []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _is_main_module(frame: FrameType) -> bool:
    return frame.f_globals.get('__name__') == '__main__' and frame.f_code.co_name == '<module>'


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
