"""What is public is what test/public_api.txt says: no change of a name, a parameter or an option goes unnoticed."""

from __future__ import annotations

import difflib

import pytest
from public_api import FILE, MODULES, listing

import ws


def test_nothing_public_has_changed() -> None:
    pytest.importorskip('redis')  # which RedisBus needs
    expected, found = FILE.read_text(encoding='utf-8').splitlines(), listing().splitlines()
    changes = '\n'.join(difflib.unified_diff(expected, found, 'public_api.txt', 'the code', lineterm='', n=1))
    assert not changes, f'if that is meant (see doc/versioning.md), `make api` writes the list anew:\n{changes}'


def test_the_list_has_all_there_is() -> None:
    text = FILE.read_text(encoding='utf-8')
    for names in MODULES.values():
        for name in names:
            assert f' {name}' in text
    for event in ws.WebSocket._emits | ws.WebSocketServer._emits:
        assert f"event '{event}'" in text
