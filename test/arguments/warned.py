"""What a call warns of, and whom a Sender may write to."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any


def warnings_of(call: Callable[[], object]) -> list[Any]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        call()
    return caught


class Sink:
    def write(self, data: bytes) -> None:
        pass
