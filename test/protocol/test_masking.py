"""Masking (RFC 6455 section 5.3)."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.protocol import masking
from ws.protocol.masking import mask, new_mask_key


def xor(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


@pytest.mark.parametrize('size', [*range(20), 124, 125, 126, 127, 2046, 2047, 2048, 2049, 2050, 2051, 2052, 70001])
def test_mask_is_xor_with_the_key_over_and_over(size: int) -> None:
    data = os.urandom(size)
    key = b'\x34\x83\xa8\x68'
    assert mask(data, key) == xor(data, key)


@given(st.binary(max_size=5000), st.binary(min_size=4, max_size=4))
def test_mask_undoes_itself(data: bytes, key: bytes) -> None:
    masked = mask(data, key)
    assert masked == xor(data, key)
    assert mask(masked, key) == data


@pytest.mark.parametrize('size', [5, 5000])
def test_mask_leaves_the_data_as_it_is(size: int) -> None:
    data = os.urandom(size)
    given_data = bytes(bytearray(data))
    masked = mask(given_data, b'abcd')
    assert type(masked) is bytes
    assert masked == xor(data, b'abcd')
    assert given_data == data


def test_new_mask_keys_are_4_bytes_and_differ() -> None:
    keys = [new_mask_key() for _ in range(5000)]  # more than one draw from the system gives
    assert {len(key) for key in keys} == {4}
    assert len(set(keys)) > 4990  # 5,000 random ones have a collision in 3 runs of 1,000


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An empty pool, and a counter for the system's random bytes, so that a key handed out twice shows.

    The sizes of the draws from the system.
    """
    lock = threading.Lock()
    sizes: list[int] = []

    def urandom(size: int) -> bytes:
        with lock:
            start = sum(sizes)
            sizes.append(size)
        return b''.join(number.to_bytes(4, 'big') for number in range(start, start + size, 4))

    monkeypatch.setattr(masking, '_keys', [])
    monkeypatch.setattr(os, 'urandom', urandom)
    return sizes


def test_no_key_twice_and_few_system_calls(draws: list[int]) -> None:
    keys = [new_mask_key() for _ in range(10000)]
    assert len(set(keys)) == 10000
    assert draws == [8192] * 5


def test_no_key_twice_in_several_threads(draws: list[int]) -> None:
    keys: list[bytes] = []
    start = threading.Barrier(4)

    def draw() -> None:
        start.wait()
        keys.extend([new_mask_key() for _ in range(10000)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == len(set(keys)) == 40000


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork')
# Python 3.12 warns of forking beside threads, the test runner's. The child runs nothing that could wait for them.
@pytest.mark.filterwarnings('ignore:This process:DeprecationWarning')
def test_a_forked_child_has_keys_of_its_own() -> None:
    new_mask_key()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b''.join(new_mask_key() for _ in range(100)))
        os._exit(0)
    os.close(writer)
    with open(reader, 'rb') as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    ours = b''.join(new_mask_key() for _ in range(100))
    assert len(theirs) == len(ours)
    assert theirs != ours
