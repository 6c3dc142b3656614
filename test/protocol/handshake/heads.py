"""Requests and responses, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from ws.protocol.handshake import ClientHandshake
from ws.protocol.url import parse_url

KEY = 'dGhlIHNhbXBsZSBub25jZQ=='


def client(url: str = 'ws://localhost:8080/chat?room=1', **options: Any) -> ClientHandshake:
    return ClientHandshake(address=parse_url(url), **options)
