"""Fixtures of test/server/upgrade."""

from __future__ import annotations

import pytest
import trustme


@pytest.fixture(scope='module')
def certificate() -> dict[str, bytes]:
    issued = trustme.CA().issue_cert('localhost', '127.0.0.1')
    return {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}
