"""gevent and eventlet, which replace the system's threads with green ones: the loop thread is then one of them."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

#: What we use of Python, and what the two call it. All of it must be theirs, or nothing.
_MODULES = {'gevent.monkey': ('select', 'socket', 'threading'), 'eventlet.patcher': ('select', 'socket', 'thread')}


def _patched(by: str) -> frozenset[str]:
    patcher = sys.modules.get(by)
    asked = getattr(patcher, 'is_module_patched', None) or getattr(patcher, 'is_monkey_patched', None)
    return frozenset(name for name in _MODULES[by] if asked is not None and asked(name))


def _check() -> dict[str, frozenset[str]]:
    """Who has patched what. Raises ImportError if only a part of what belongs together is patched."""
    found = {by: _patched(by) for by in _MODULES}
    for by, names in found.items():
        missing = [name for name in _MODULES[by] if name not in names]
        if names and missing:
            host = by.partition('.')[0]
            have, lack = ' and '.join(sorted(names)), ' and '.join(missing)
            raise ImportError(f'ws cannot work where {host} has patched {have}, but not {lack}: patch all of them')
    return found


def check_unchanged() -> None:
    """Raises RuntimeError if Python was patched after we were imported: while we wait, no green thread would run."""
    for by, names in _at_import.items():
        if _patched(by) != names:
            raise RuntimeError(f'{by.partition(".")[0]} must patch Python before ws is imported')


_at_import = _check()


def is_in_use() -> bool:
    """Whether one of them had patched Python when we were imported."""
    return any(_at_import.values())


# -- what is meant for the main greenlet ------------------------------------------------------------------------------


def pass_on(error: BaseException) -> bool:
    """Whether `error`, which the loop's greenlet has caught, is what a signal handler has raised. Then it is thrown to
    the main greenlet, as if the signal had come while nobody was running.

    Python calls the handlers on the main thread, whatever runs there: without green threads, that is never the loop.
    """
    if not is_in_use() or not _comes_from_a_signal(error):
        return False
    _soon(_main_greenlet().throw, type(error), error.with_traceback(None))
    return True


def forget_waiting_for(descriptors: Iterable[int], error: BaseException) -> None:
    """To be called when waiting was interrupted by `error`. If that happens while it begins or ends, it leaves behind
    what it has told the hub. eventlet would refuse to wait for the same descriptors again; gevent's timeout would come
    later, whatever we do then."""
    if _at_import['eventlet.patcher']:
        hub = sys.modules['eventlet'].hubs.get_hub()
        for descriptor in descriptors:
            for listeners in hub.listeners.values():
                if descriptor in listeners:
                    hub.remove(listeners[descriptor])
    if _at_import['gevent.monkey']:
        module = sys.modules['gevent.timeout']
        for frame, _line in traceback.walk_tb(error.__traceback__):
            if frame.f_globals is vars(module):
                for one in list(frame.f_locals.values()):
                    if isinstance(one, module.Timeout) and hasattr(one, 'timer'):  # else it is just being made
                        one.close()


def ends_greenlet(error: BaseException) -> bool:
    """Whether somebody wants the greenlet to end to which this was thrown."""
    greenlet = sys.modules.get('greenlet')
    return greenlet is not None and isinstance(error, greenlet.GreenletExit)


def _comes_from_a_signal(error: BaseException) -> bool:
    if isinstance(error, KeyboardInterrupt):  # the handler of Ctrl-C is no function of Python's
        return True
    frames = [frame for frame, _line in traceback.walk_tb(error.__traceback__)]
    return any(_was_given(called, caller) for caller, called in zip(frames, frames[1:]))


def _was_given(called: FrameType, caller: FrameType) -> bool:
    """Whether one of its arguments is the frame that called it: so are signal handlers called, and nothing else."""
    names, rest, _, values = inspect.getargvalues(called)
    given = [*(values.get(name) for name in names), *(values.get(rest or '') or ())]
    return any(argument is caller for argument in given)


def _main_greenlet() -> Any:
    greenlet = sys.modules['greenlet'].getcurrent()
    while greenlet.parent is not None:
        greenlet = greenlet.parent
    return greenlet


def _soon(function: Callable[..., object], *args: object) -> None:
    """Have the hub call that, which runs when no other greenlet does."""
    if _at_import['gevent.monkey']:
        sys.modules['gevent'].get_hub().loop.run_callback(function, *args)
    else:
        sys.modules['eventlet'].hubs.get_hub().schedule_call_global(0, function, *args)
