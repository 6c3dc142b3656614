"""Fixtures of test/net/tls."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from streams import Contexts, Driver, TLSEnds, tcp_pair

from ws.net.stream import Stream
from ws.net.tls import TLSStream


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = tcp_pair()
    yield near, far
    near.close()
    far.close()


@pytest.fixture
def kind() -> type[Stream]:
    return TLSStream


@pytest.fixture
def ends(driver: Driver, tls_contexts: Contexts, kind: type[Stream]) -> Iterator[TLSEnds]:
    ends = TLSEnds(driver, tls_contexts, kind)
    yield ends
    ends.destroy(driver)
