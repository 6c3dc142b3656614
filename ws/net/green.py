"""gevent and eventlet, which put green threads in the place of the system's: the loop thread is one of them then."""

from __future__ import annotations

import sys

#: What we use of Python, and what the two call it. All of it must be theirs, or nothing.
_MODULES = {'gevent.monkey': ('select', 'socket', 'threading'), 'eventlet.patcher': ('select', 'socket', 'thread')}


def _patched(by: str) -> frozenset[str]:
    patcher = sys.modules.get(by)
    asked = getattr(patcher, 'is_module_patched', None) or getattr(patcher, 'is_monkey_patched', None)
    return frozenset(name for name in _MODULES[by] if asked is not None and asked(name))


def _check() -> dict[str, frozenset[str]]:
    """Who has patched what. Raises ImportError if that is a part of what must go together."""
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
