"""The peers, each started once and kept for all of its tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest
import trustme
from interop.peers import KINDS, Certificates, Ends, Peer, both_open


@pytest.fixture(scope='session')
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp('certificates')
    ca = trustme.CA()
    issued = ca.issue_cert('127.0.0.1')
    files = Certificates(folder / 'ca.pem', folder / 'certificate.pem', folder / 'key.pem')
    ca.cert_pem.write_to_path(files.ca)
    issued.cert_chain_pems[0].write_to_path(files.certificate)
    issued.private_key_pem.write_to_path(files.key)
    return files


@pytest.fixture(scope='session', params=KINDS, ids=str)
def peer(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Peer]:
    missing = request.param.missing()
    if missing is not None:
        give_up = pytest.fail if os.environ.get('CI') == 'true' else pytest.skip
        give_up(f'no tests with {request.param}: {missing} was not found')
    peer = Peer(request.param, certificates)
    yield peer
    peer.end()


@pytest.fixture(params=['our client', 'our server'])
def connect(request: pytest.FixtureRequest, peer: Peer) -> Callable[..., AbstractContextManager[Ends]]:
    """Makes connections between us and the peer: ``with connect(query, **options) as (ours, theirs)``."""
    return partial(both_open, request.param.split()[1], peer)
