"""Fixtures of test/protocol/sender."""

from __future__ import annotations

import pytest

from ws.protocol import sender as sender_module


@pytest.fixture(autouse=True)
def nothing_sent_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, '_last_frame', (object(), None, b''))
