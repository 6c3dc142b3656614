"""permessage-deflate (RFC 7692 section 7)."""

from __future__ import annotations

import os
import re
import sys
import time
import tracemalloc
import zlib
from typing import Any, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.errors import ProtocolError
from ws.protocol.extensions import Extension, format_extension, parse_extensions
from ws.protocol.permessage_deflate import (
    PIECE,
    DeflateOptions,
    Deflater,
    Inflater,
    Parameters,
    accept_offer,
    agreed,
    check_answer,
    make_offer,
    parse_parameters,
)

UNLIMITED = 1 << 40
TAIL = b'\x00\x00\xff\xff'
HELLO = bytes.fromhex('f248cdc9c90700')
WRONG = [
    ('foo', 'Unknown parameter "foo"'),
    ('client_no_context_takeover; __init__', 'Unknown parameter "__init__"'),
    ('index', 'Unknown parameter "index"'),
    ('Server_No_Context_Takeover', 'Unknown parameter "Server_No_Context_Takeover"'),
    (
        'client_no_context_takeover; client_no_context_takeover',
        'Parameter "client_no_context_takeover" must have only a single value',
    ),
    (
        'server_max_window_bits=9; server_max_window_bits=9',
        'Parameter "server_max_window_bits" must have only a single value',
    ),
    ('server_no_context_takeover=1', 'Invalid value for parameter "server_no_context_takeover": 1'),
    ('client_no_context_takeover=true', 'Invalid value for parameter "client_no_context_takeover": true'),
    ('server_max_window_bits', 'Invalid value for parameter "server_max_window_bits": None'),
    *(
        (f'{name}={value}', f'Invalid value for parameter "{name}": {value}')
        for name in ('server_max_window_bits', 'client_max_window_bits')
        for value in ('7', '16', '0', '08', '+8', '-8', '1e1', '0xa', '10.0', '150', 'x')
    ),
]


def options(**given: Any) -> DeflateOptions:
    return DeflateOptions(**given)


def answer_to(offers: str, **given: Any) -> Optional[str]:
    """What a server with these options answers."""
    accepted = accept_offer(options(**given), parse_extensions(offers))
    return None if accepted is None else format_extension(accepted.extension())


def with_parameters(parameters: str) -> str:
    return '; '.join(filter(None, ['permessage-deflate', parameters]))


class TestParameters:
    @pytest.mark.parametrize('text, message', WRONG)
    def test_wrong(self, text: str, message: str) -> None:
        with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
            parse_parameters(parse_extensions(with_parameters(text))[0])

    @given(
        st.booleans(),
        st.booleans(),
        st.one_of(st.none(), st.integers(8, 15)),
        st.one_of(st.none(), st.just(True), st.integers(8, 15)),
    )
    def test_what_is_written_is_read(self, server_alone: bool, client_alone: bool, server: Any, client: Any) -> None:
        parameters = Parameters(server_alone, client_alone, server, client)
        [extension] = parse_extensions(format_extension(parameters.extension()))
        assert extension.name == 'permessage-deflate'
        assert parse_parameters(extension) == parameters

    def test_names(self) -> None:
        parameters = Parameters(True, True, 9, 10)
        assert format_extension(parameters.extension()) == (
            'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; '
            'client_max_window_bits=10'
        )


class TestOffer:
    @pytest.mark.parametrize(
        'given, offer',
        [
            ({}, 'client_max_window_bits'),
            ({'server_no_context_takeover': True}, 'server_no_context_takeover; client_max_window_bits'),
            ({'client_no_context_takeover': True}, 'client_no_context_takeover; client_max_window_bits'),
            ({'server_no_context_takeover': False, 'client_no_context_takeover': False}, 'client_max_window_bits'),
            ({'server_max_window_bits': 10}, 'server_max_window_bits=10; client_max_window_bits'),
            ({'server_max_window_bits': False}, 'client_max_window_bits'),
            ({'client_max_window_bits': 8}, 'client_max_window_bits=8'),
            ({'client_max_window_bits': False}, ''),
        ],
    )
    def test_offer(self, given: dict[str, Any], offer: str) -> None:
        assert format_extension(make_offer(options(**given)).extension()) == with_parameters(offer)


class TestAnswer:
    """The server's side."""

    @pytest.mark.parametrize(
        'given, offer, answer',
        [
            ({}, '', ''),
            ({}, 'server_no_context_takeover', 'server_no_context_takeover'),
            ({}, 'client_no_context_takeover', 'client_no_context_takeover'),
            ({}, 'server_max_window_bits=8', 'server_max_window_bits=8'),
            ({}, 'client_max_window_bits', ''),
            ({}, 'client_max_window_bits=10', 'client_max_window_bits=10'),
            ({'server_no_context_takeover': True}, '', 'server_no_context_takeover'),
            ({'server_no_context_takeover': False}, '', ''),
            ({'client_no_context_takeover': True}, '', 'client_no_context_takeover'),
            ({'client_no_context_takeover': False}, 'client_no_context_takeover', 'client_no_context_takeover'),
            ({'server_max_window_bits': 10}, '', 'server_max_window_bits=10'),
            ({'server_max_window_bits': 10}, 'server_max_window_bits=10', 'server_max_window_bits=10'),
            ({'server_max_window_bits': 10}, 'server_max_window_bits=11', 'server_max_window_bits=10'),
            ({'server_max_window_bits': False}, '', ''),
            ({'client_max_window_bits': 10}, 'client_max_window_bits', 'client_max_window_bits=10'),
            ({'client_max_window_bits': 10}, 'client_max_window_bits=10', 'client_max_window_bits=10'),
            ({'client_max_window_bits': 10}, 'client_max_window_bits=11', 'client_max_window_bits=10'),
            ({'client_max_window_bits': False}, 'client_max_window_bits', ''),
            ({'client_max_window_bits': False}, 'client_max_window_bits=10', ''),
        ],
    )
    def test_acceptable(self, given: dict[str, Any], offer: str, answer: str) -> None:
        assert answer_to(with_parameters(offer), **given) == with_parameters(answer)

    @pytest.mark.parametrize(
        'given, offer',
        [
            ({'server_no_context_takeover': False}, 'server_no_context_takeover'),
            ({'server_max_window_bits': 10}, 'server_max_window_bits=9'),
            ({'server_max_window_bits': False}, 'server_max_window_bits=15'),
            ({'client_max_window_bits': 10}, 'client_max_window_bits=9'),
        ],
    )
    def test_unacceptable(self, given: dict[str, Any], offer: str) -> None:
        with pytest.raises(ValueError, match=r'^None of the extension offers can be accepted$'):
            answer_to(with_parameters(offer), **given)
        fallback = f'{with_parameters(offer)}, permessage-deflate; client_max_window_bits'
        assert answer_to(fallback, **given) is not None

    def test_a_client_that_knows_no_smaller_window_goes_without(self) -> None:
        """RFC 7692 section 7.1.2.2: the answer must not ask it to; that is no reason to refuse it."""
        assert answer_to(with_parameters(''), client_max_window_bits=10) is None
        assert answer_to(with_parameters('client_no_context_takeover'), client_max_window_bits=15) is None
        both = 'permessage-deflate, permessage-deflate; client_max_window_bits'
        assert answer_to(both, client_max_window_bits=10) == 'permessage-deflate; client_max_window_bits=10'
        with pytest.raises(ValueError, match='None of the extension offers'):
            answer_to(
                with_parameters('server_no_context_takeover'),
                client_max_window_bits=10,
                server_no_context_takeover=False,
            )

    def test_first_of_several(self) -> None:
        offers = (
            'permessage-deflate; server_max_window_bits=9, permessage-deflate; server_max_window_bits=11, '
            'permessage-deflate; server_max_window_bits=12'
        )
        assert answer_to(offers) == 'permessage-deflate; server_max_window_bits=9'
        assert answer_to(offers, server_max_window_bits=10) == 'permessage-deflate; server_max_window_bits=10'

    def test_other_extensions(self) -> None:
        assert answer_to('foo; a=1, permessage-deflate, bar') == 'permessage-deflate'
        assert answer_to('foo; server_max_window_bits=99, Permessage-Deflate') is None

    @pytest.mark.parametrize('text, message', WRONG)
    def test_malformed_ones_are_refused_wherever_they_stand(self, text: str, message: str) -> None:
        for offers in (with_parameters(text), f'permessage-deflate, {with_parameters(text)}'):
            with pytest.raises(ValueError, match=re.escape(message)):
                answer_to(offers)


class TestCheckAnswer:
    """The client's side."""

    def check(self, answer: str, **given: Any) -> Parameters:
        return check_answer(options(**given), parse_extensions(with_parameters(answer))[0])

    @pytest.mark.parametrize(
        'given, answer, parameters',
        [
            ({}, '', Parameters()),
            ({}, 'server_no_context_takeover', Parameters(server_no_context_takeover=True)),
            ({}, 'client_no_context_takeover', Parameters(client_no_context_takeover=True)),
            ({}, 'server_max_window_bits=9', Parameters(server_max_window_bits=9)),
            ({}, 'client_max_window_bits=9', Parameters(client_max_window_bits=9)),
            ({'server_no_context_takeover': True}, 'server_no_context_takeover', Parameters(True)),
            ({'client_no_context_takeover': True}, '', Parameters()),
            ({'server_max_window_bits': 10}, 'server_max_window_bits=10', Parameters(server_max_window_bits=10)),
            ({'server_max_window_bits': 10}, 'server_max_window_bits=9', Parameters(server_max_window_bits=9)),
            ({'client_max_window_bits': 10}, '', Parameters(client_max_window_bits=10)),
            ({'client_max_window_bits': 10}, 'client_max_window_bits=10', Parameters(client_max_window_bits=10)),
            ({'client_max_window_bits': 10}, 'client_max_window_bits=8', Parameters(client_max_window_bits=8)),
            ({'client_max_window_bits': False}, '', Parameters()),
        ],
    )
    def test_right(self, given: dict[str, Any], answer: str, parameters: Parameters) -> None:
        assert self.check(answer, **given) == parameters

    @pytest.mark.parametrize(
        'given, answer, message',
        [
            ({'server_no_context_takeover': True}, '', 'Missing parameter "server_no_context_takeover"'),
            (
                {'client_no_context_takeover': False},
                'client_no_context_takeover',
                'Unexpected parameter "client_no_context_takeover"',
            ),
            ({'server_max_window_bits': 15}, '', 'Missing or invalid parameter "server_max_window_bits"'),
            (
                {'server_max_window_bits': 10},
                'server_max_window_bits=11',
                'Missing or invalid parameter "server_max_window_bits"',
            ),
            ({}, 'client_max_window_bits', 'Unexpected or invalid parameter "client_max_window_bits"'),
            (
                {'client_max_window_bits': 10},
                'client_max_window_bits=11',
                'Unexpected or invalid parameter "client_max_window_bits"',
            ),
            (
                {'client_max_window_bits': False},
                'client_max_window_bits=15',
                'Unexpected or invalid parameter "client_max_window_bits"',
            ),
            *(({}, text, message) for text, message in WRONG),
        ],
    )
    def test_wrong(self, given: dict[str, Any], answer: str, message: str) -> None:
        with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
            self.check(answer, **given)


yes_or_no = st.sampled_from([None, True, False])
bits = st.one_of(st.none(), st.just(False), st.integers(8, 15))
all_options = st.tuples(yes_or_no, yes_or_no, bits, bits).map(lambda values: DeflateOptions(*values))


@given(all_options, all_options)
def test_an_answer_of_ours_suits_our_client_and_both_get_what_they_asked_for(
    client: DeflateOptions, server: DeflateOptions
) -> None:
    offer = make_offer(client)
    try:
        answer = accept_offer(server, [offer.extension()])
    except ValueError:
        return
    if server.client_max_window_bits and client.client_max_window_bits is False:
        assert answer is None
        return
    assert answer is not None
    if client.client_no_context_takeover is False and server.client_no_context_takeover:
        with pytest.raises(ValueError, match='client_no_context_takeover'):
            check_answer(client, answer.extension())
        return
    in_force = check_answer(client, answer.extension())
    for name in ('server_no_context_takeover', 'client_no_context_takeover'):
        assert getattr(in_force, name) is bool(getattr(client, name) or getattr(server, name))
    for name in ('server_max_window_bits', 'client_max_window_bits'):
        for side in (client, server):
            assert (getattr(in_force, name) or 15) <= (getattr(side, name) or 15)
    ends = [agreed(client, in_force, False), agreed(server, answer, True)]
    for (_, deflater, _), (_, _, inflater) in (ends, ends[::-1]):
        for message in (b'Hello' * 300, b'Hello' * 300):
            assert inflate(inflater, deflater.deflate(message, True)) == message


def make(bits: Optional[int] = None, no_context: bool = False, **given: Any) -> tuple[Deflater, Inflater]:
    return Deflater(options(**given), bits, no_context), Inflater(bits, no_context)


def inflate(inflater: Inflater, payload: bytes, fin: bool = True, limit: int = UNLIMITED) -> bytes:
    inflated = b''
    inflater.begin(payload, fin)
    while inflater.under_way:
        piece = inflater.inflate(limit - len(inflated))
        assert len(piece) <= PIECE
        inflated += piece
    return inflated


class TestDeflater:
    def test_example(self) -> None:
        """RFC 7692 section 7.2.3.1 and 7.2.3.2"""
        deflater, _ = make()
        assert deflater.deflate(b'Hello', True) == bytes.fromhex('f248cdc9c90700')
        assert deflater.deflate(b'Hello', True) == bytes.fromhex('f200110000')

    def test_without_context_takeover(self) -> None:
        deflater, _ = make(no_context=True)
        for _ in range(2):
            assert deflater.deflate(b'Hello', True) == bytes.fromhex('f248cdc9c90700')

    def test_level_memory_and_strategy(self) -> None:
        data = (b'abcdefgh' * 1000 + os.urandom(20)) * 3
        stored = Deflater(options(level=0), None, False).deflate(data, True)
        assert len(stored) > len(data)
        best = Deflater(options(level=9), None, False).deflate(data, True)
        huffman = Deflater(options(strategy=zlib.Z_HUFFMAN_ONLY), None, False).deflate(data, True)
        assert len(best) < 500 < len(huffman) < len(data)

    def test_memory(self) -> None:
        """What zlib's manual says: 2**(windowBits + 2) + 2**(memLevel + 9) bytes, and a little."""
        for bits, level in [(9, 1), (12, 5), (15, 8), (15, 9)]:
            deflater, _ = make(bits, mem_level=level)
            tracemalloc.start()
            deflater.deflate(b'Hello', True)
            held = tracemalloc.get_traced_memory()[0] - (1 << bits + 2) - (1 << level + 9)
            tracemalloc.stop()
            assert 0 < held < 10_000

    def test_threshold(self) -> None:
        assert make(no_context=True)[0].threshold == 1024
        assert make(no_context=True, threshold=5)[0].threshold == 5
        assert make(threshold=5)[0].threshold == 0

    @pytest.mark.parametrize('bits', [9, 10, 12, 15])
    def test_window(self, bits: int) -> None:
        block = os.urandom(200)
        near = block + bytes(range(256))[: (1 << bits) - 500] + block
        deflater, _ = make(bits)
        assert len(deflater.deflate(near[:700], True)) < 700
        far = block + os.urandom(1 << bits) + block
        deflater, _ = make(bits)
        assert len(deflater.deflate(far, True)) >= len(far)

    @given(st.lists(st.one_of(st.binary(max_size=600), st.sampled_from([b'abc' * 200, bytes(500)])), max_size=6))
    def test_a_window_of_8_bits_is_not_left(self, messages: list[bytes]) -> None:
        deflater, _ = make(8)
        history = b''
        for message in messages:
            payload = deflater.deflate(message, True) + TAIL
            # Nothing but these 256 bytes may be needed.
            stream = zlib.decompressobj(-15, zdict=history[-256:])
            assert stream.decompress(payload) == message
            history += message

    def test_a_window_of_8_bits_is_of_some_use(self) -> None:
        """Not what zlib might do with a larger one is made use of, but what can't be wrong."""
        assert len(make(8)[0].deflate(bytes(10000), True)) < 50
        assert len(make(8)[0].deflate(b'abcdefgh' * 1000, True)) > 2000

    def test_dictionary(self) -> None:
        words = b'neither is sent: Hello, World'
        deflater, inflater = make(deflate_dictionary=words)[0], Inflater(None, False, words)
        payload = deflater.deflate(b'Hello, World', True)
        assert len(payload) < 8
        assert inflate(inflater, payload) == b'Hello, World'
        with pytest.raises(ProtocolError):
            inflate(Inflater(None, False), payload)

    def test_after_cleanup_it_begins_anew(self) -> None:
        deflater, _ = make()
        first = deflater.deflate(b'Hello', True)
        deflater.cleanup()
        assert deflater.deflate(b'Hello', True) == first

    def test_without_context_nothing_is_held(self) -> None:
        held = {}
        for no_context in (False, True):
            deflater, inflater = make(no_context=no_context)
            tracemalloc.start()
            inflate(inflater, deflater.deflate(b'Hello' * 1000, True))
            held[no_context] = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
        assert held[True] < 1000
        assert deflater._stream is inflater._stream is None


class TestInflater:
    def test_examples(self) -> None:
        """RFC 7692 section 7.2.3: one block, shared window, no compression, BFINAL, two blocks."""
        for payloads in (
            ['f248cdc9c90700', 'f200110000'],
            ['000500faff48656c6c6f00', 'f200110000'],
            ['f348cdc9c9070000', 'f348cdc9c9070000', 'f248cdc9c90700', 'f200110000'],
            ['f248050000 00ffff cac9c90700', 'f200110000'],
        ):
            inflater = Inflater(None, False)
            for payload in payloads:
                assert inflate(inflater, bytes.fromhex(payload)) == b'Hello'

    def test_final_block_without_the_empty_one_behind_it(self) -> None:
        inflater = Inflater(None, False)
        for payload in ('f348cdc9c90700', 'f248cdc9c90700', 'f200110000'):
            assert inflate(inflater, bytes.fromhex(payload)) == b'Hello'

    def test_several_final_blocks(self) -> None:
        final, more = bytes.fromhex('f348cdc9c90700'), bytes.fromhex('f248cdc9c90700')
        assert inflate(Inflater(None, False), final * 3 + more) == b'Hello' * 4
        inflater = Inflater(None, False)
        assert inflate(inflater, final * 2, fin=False) == b'Hello' * 2
        assert inflate(inflater, final[:4], fin=False) + inflate(inflater, final[4:] + more) == b'Hello' * 2
        assert inflate(inflater, b'\x00') == b''

    def test_what_looks_like_the_tail_behind_a_final_block(self) -> None:
        """An uncompressed block of 65,280 bytes begins like it."""
        data = os.urandom(0xFF00)
        inflater = Inflater(None, False)
        assert inflate(inflater, bytes.fromhex('f348cdc9c90700') + TAIL, fin=False) == b'Hello'
        assert inflate(inflater, b'\x00' + data + b'\x00') == data

    def test_empty(self) -> None:
        inflater = Inflater(None, False)
        assert inflate(inflater, b'\x00') == inflate(inflater, b'\x00') == b''
        assert inflate(inflater, b'', fin=False) == b''

    def test_context(self) -> None:
        first, second = bytes.fromhex('f248cdc9c90700'), bytes.fromhex('f200110000')
        keeping, forgetting = Inflater(None, False), Inflater(None, True)
        inflate(keeping, first)
        inflate(forgetting, first)
        assert inflate(keeping, second) == b'Hello'
        with pytest.raises(ProtocolError, match=r'^invalid compressed data$') as caught:
            inflate(forgetting, second)
        assert caught.value.closeCode == 1007

    @pytest.mark.parametrize('bits', [8, 9, 10, 14, 15])
    def test_window(self, bits: int) -> None:
        """Peers that say 8 and mean 9 are understood."""
        size = 1 << max(bits, 9)
        stream = zlib.compressobj(9, zlib.DEFLATED, -max(bits, 9))
        data = os.urandom(size // 2 - 30) * 5
        payload = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
        assert inflate(Inflater(bits, False), payload[:-4]) == data
        if bits < 15:
            block = os.urandom(300)
            deflater, inflater = Deflater(options(), 15, False), Inflater(bits, False)
            for message in (block, os.urandom(size)):
                assert inflate(inflater, deflater.deflate(message, True)) == message
            with pytest.raises(ProtocolError, match='invalid compressed data'):
                inflate(inflater, deflater.deflate(block, True))
            deflater, inflater = Deflater(options(), 15, False), Inflater(bits, False)
            for _ in range(2):  # the second time from 300 bytes before
                assert inflate(inflater, deflater.deflate(block, True)) == block

    @pytest.mark.parametrize('payload', ['07', 'ff', '0000000000', '02ff'])
    def test_wrong(self, payload: str) -> None:
        with pytest.raises(ProtocolError, match=r'^invalid compressed data$') as caught:
            inflate(Inflater(None, False), bytes.fromhex(payload))
        assert caught.value.closeCode == 1007

    @pytest.mark.parametrize('blocks', [1, 2])
    @pytest.mark.parametrize('size', [0, 5, 100000])
    def test_limit(self, size: int, blocks: int) -> None:
        data = bytes(size)
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        payload = stream.compress(data) + stream.flush(zlib.Z_FINISH if blocks > 1 else zlib.Z_SYNC_FLUSH)
        payload *= blocks
        assert inflate(Inflater(None, False), payload, limit=size * blocks) == data * blocks
        if size:
            with pytest.raises(ProtocolError, match=r'^Max payload size exceeded$') as caught:
                inflate(Inflater(None, False), payload, limit=size * blocks - 1)
            assert caught.value.closeCode == 1009

    def test_limit_over_many_portions(self) -> None:
        data = os.urandom(100_000)
        payload = make()[0].deflate(data, True)
        assert inflate(Inflater(None, False), payload, limit=100_000) == data
        with pytest.raises(ProtocolError, match='Max payload'):
            inflate(Inflater(None, False), payload, limit=99_999)

    def test_bomb(self) -> None:
        """1 GiB in a megabyte costs what the limit lets through."""
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        # A full flush: what is behind it refers to nothing before, and so can be repeated.
        payload = (stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)) * 1024
        assert len(payload) < 1_100_000
        tracemalloc.start()
        started = time.process_time()
        with pytest.raises(ProtocolError, match='Max payload size exceeded'):
            inflate(Inflater(None, False), payload, limit=1 << 20)
        assert time.process_time() - started < 0.5  # it takes 2 ms; 1 GiB takes seconds
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()

    def test_final_blocks_of_fragments(self) -> None:
        """Who knows no other way to flush ends each frame with such a block: of any sensible size, they are taken."""
        inflater = Inflater(None, False)
        for _ in range(2):
            for _ in range(100):
                data = os.urandom(2000)
                stream = zlib.compressobj(wbits=-15)
                assert inflate(inflater, stream.compress(data) + stream.flush(), fin=False) == data
            assert inflate(inflater, b'\x00') == b''

    @pytest.mark.parametrize('piece', [1, 7, 16384, 1 << 20])
    def test_no_more_final_blocks_than_make_sense(self, piece: int) -> None:
        """Each makes a stream and throws it away, for two bytes; no limit on what comes out would ever notice."""
        few = b'\x03\x00' * 16
        inflater = Inflater(None, False)
        assert inflate(inflater, few) == inflate(inflater, few) == b''  # they are those of one message
        flood = few + b'\x03\x00' * 500_000
        with pytest.raises(ProtocolError, match=r'^Too many final blocks in a compressed message$') as caught:
            for start in range(0, len(flood), piece):
                inflate(inflater, flood[start : start + piece], fin=False)
                assert start < len(few) + 2
        assert caught.value.closeCode == 1008
        with pytest.raises(ProtocolError, match='Too many final blocks'):
            inflate(Inflater(None, False), few + b'\x03\x00')

    @pytest.mark.parametrize('piece', [1, 7, 16384])
    def test_what_comes_before_too_many_final_blocks_comes_out(self, piece: int) -> None:
        """Else the portions would decide whether somebody hears of what is wrong with it."""
        stream = zlib.compressobj(wbits=-15)
        flood = stream.compress(b'Hello') + stream.flush() + b'\x03\x00' * 100
        inflater, inflated = Inflater(None, False), b''
        with pytest.raises(ProtocolError, match='Too many final blocks'):
            for start in range(0, len(flood), piece):
                inflater.begin(flood[start : start + piece], False)
                while inflater.under_way:
                    inflated += inflater.inflate(1000)
        assert inflated == b'Hello'

    def test_the_highest_limit(self) -> None:
        assert inflate(Inflater(None, False), HELLO, limit=sys.maxsize - 1) == b'Hello'


messages = st.one_of(st.binary(max_size=300), st.integers(0, 3))


def long(message: Union[bytes, int]) -> bytes:
    """A number stands for a long message: hypothesis shall not have to write these down."""
    return message if isinstance(message, bytes) else b'%d abc' % message * 3000


@given(
    st.integers(8, 15),
    st.booleans(),
    st.lists(st.lists(messages, min_size=1, max_size=4), max_size=5),
    st.sampled_from([1, 7, 20000]),
)
def test_any_messages_in_any_fragments(
    bits: int, no_context: bool, conversation: list[list[Union[bytes, int]]], portion: int
) -> None:
    deflater, inflater = make(bits, no_context)
    for fragments in conversation:
        for index, fragment in enumerate(map(long, fragments)):
            fin = index == len(fragments) - 1
            payload = deflater.deflate(fragment, fin)
            inflated = b''
            for start in range(0, max(1, len(payload)), portion):
                last = start + portion >= len(payload)
                inflated += inflate(inflater, payload[start : start + portion], fin and last)
            assert inflated == fragment  # all of it, as soon as it has arrived


@given(st.lists(st.tuples(st.one_of(st.binary(max_size=40), messages), st.booleans()), max_size=6), st.booleans())
def test_any_bytes_are_inflated_or_refused(payloads: list[tuple[Union[bytes, int], bool]], no_context: bool) -> None:
    inflater = Inflater(None, no_context)
    try:
        for payload, fin in payloads:
            assert len(inflate(inflater, long(payload), fin, 1000)) <= 1000
    except ProtocolError as error:
        assert (str(error), error.closeCode) in [
            ('invalid compressed data', 1007),
            ('Max payload size exceeded', 1009),
            ('Too many final blocks in a compressed message', 1008),
        ]


def test_an_extension_is_a_name_and_parameters() -> None:
    assert Parameters(server_max_window_bits=9).extension() == Extension(
        'permessage-deflate', [('server_max_window_bits', '9')]
    )
