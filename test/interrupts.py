"""Ctrl-C at each step of a call: whoever is interrupted while waiting must be able to go on."""

from __future__ import annotations

import gc
import opcode
import re
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Optional

import pytest

#: Earlier ones look between more steps, among them the end of a ``with`` block and the call of ``__exit__``.
looks_between_calls = pytest.mark.skipif(sys.version_info < (3, 11), reason='this Python looks for signals anywhere')

#: After these instructions, Python looks for signals; and when a function begins.
_LOOKS_AFTER = re.compile('CALL|CALL_FUNCTION_EX|CALL_KW|(POP_)?JUMP_BACKWARD(_IF_.*)?')

#: Which begin too early, or end too late, to catch anything: a traceback is printed, and the process ends.
_OUTERMOST = '_after_last_line', '_unless_told_to_end'


class Steps:
    """A trace function that sends SIGINT to this process when Python looks for signals for the `at`-th time, from 1 on,
    in functions of `modules`, or of `threading`."""

    def __init__(self, at: int, *modules: Any) -> None:
        self._at = at
        self._own = {module.__file__ for module in modules}
        self._files = {threading.__file__, *self._own}
        self._begun = False  # before that, threading calls us at the end of the main thread
        self._done: dict[FrameType, str] = {}  # each one's last instruction
        #: How often it has looked.
        self.count: int = 0
        #: The function where it was sent; '' if it was not.
        self.where: str = ''

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Optional[Callable[..., Any]]:
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_opcodes = True
        if event == 'call' and frame.f_code.co_name not in _OUTERMOST:
            self._begun = self._begun or frame.f_code.co_filename in self._own
            self._look(frame)
        if event == 'opcode':
            if _LOOKS_AFTER.fullmatch(self._done.get(frame, '')):
                self._look(frame)
            self._done[frame] = opcode.opname[frame.f_code.co_code[frame.f_lasti]]
        return self

    def _look(self, frame: FrameType) -> None:
        self.count += self._begun
        if self.count == self._at and not self.where:
            self.where = frame.f_code.co_name
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)  # Python calls the handler here


def interrupted_at(step: int, call: Callable[[], object], *modules: Any) -> str:
    """The function that was interrupted, if a KeyboardInterrupt came out of `call` because Ctrl-C came at this step;
    '' if there are not so many."""
    steps = Steps(step, *modules)
    before = sys.gettrace()
    gc.disable()  # what comes out of the destructors of others is forgotten, and no matter of `call`
    sys.settrace(steps)
    try:
        call()
    except KeyboardInterrupt:
        return steps.where
    finally:
        sys.settrace(before)
        gc.enable()
    assert not steps.where, f'lost in {steps.where}'
    return ''
