"""The example of CONTRIBUTING.md, as whoever follows it would have it here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from documents import Document
from interop.peers import Ends

pytestmark = pytest.mark.interop


def test_the_example(connect: Callable[..., AbstractContextManager[Ends]]) -> None:
    [example] = [block.code for block in Document('CONTRIBUTING.md').blocks if block.language == 'python']
    names: dict[str, Any] = {}
    exec(example, names)
    names['test_a_question_and_an_answer'](connect)
