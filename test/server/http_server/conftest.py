"""Fixtures of test/server/http_server."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from sites import SERVERS, Site


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    return context


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, authority: trustme.CA, server_context: Any) -> Iterator[Site]:
    site = Site(SERVERS[request.param](tmp_path, server_context), authority)
    site.start()
    yield site
    site.stop()
    assert site.errors.nothing(0), 'the server met an exception that the test did not expect'
