"""Every test of this folder that takes `driver` runs over epoll and over selectors."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from net.listeners import endpoints
from streams import Driver

from ws.net import loop as loop_module
from ws.net.listen import BACKLOG, bind
from ws.net.poller import Poller, SelectorPoller

POLLERS: dict[str, Any] = {
    poller.__name__: poller for poller in (Poller, SelectorPoller)
}  # one where there is no epoll


@pytest.fixture(params=POLLERS.values(), ids=list(POLLERS))
def poller_class(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def driver(poller_class: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    monkeypatch.setattr(loop_module, 'Poller', poller_class)
    driver = Driver()
    yield driver
    driver.end()


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """One that listens."""
    with bind(endpoints(), BACKLOG) as sock:
        yield sock


@pytest.fixture(scope='session')
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope='session')
def tls_contexts(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts for the server and the client end."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost', '127.0.0.1').configure_cert(server)
    server.num_tickets = 0  # a client that never reads them would reset the connection when it closes
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
