"""What has to be done in the child after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

F = TypeVar('F', bound=Callable[[], object])


def in_child(function: F) -> F:
    """A decorator: `function` is called there, after those that were decorated before it."""
    if hasattr(os, 'register_at_fork'):  # else there are no forks
        os.register_at_fork(after_in_child=function)
    return function
