"""Tests P024 to P035 of ws 8's suite: compressing and decompressing.

There one object compresses, and decompresses what it made; here each end of a connection has a part for either.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from compatibility.peers import KEY, VERSION, request
from support import Waiter, server

from ws import ProtocolError, WebSocket
from ws.options import Options, deflate_options
from ws.protocol.permessage_deflate import DeflateOptions, Deflater, Inflater, Parameters, agreed

TEXT = b'Text that can be compressed, as it is compressible text.'
#: More than any of the messages has.
PLENTY = 1 << 20
AGREED = Parameters(True, True, 10, 11)
IN_CONTEXT = Parameters(server_max_window_bits=10, client_max_window_bits=11)


def ends(
    options: DeflateOptions = DeflateOptions(),  # noqa: B008  # it is a tuple
    parameters: Parameters = Parameters(),  # noqa: B008
) -> tuple[Deflater, Inflater]:
    """What compresses on one end, a server's, and what decompresses on the other."""
    return agreed(options, parameters, True).deflater, agreed(options, parameters, False).inflater


def inflate(inflater: Inflater, data: bytes, fin: bool = True, limit: int = PLENTY) -> bytes:
    inflater.begin(data, fin)
    pieces = []
    while inflater.under_way:
        pieces.append(inflater.inflate(limit))
    return b''.join(pieces)


def test_p024_a_message() -> None:
    deflater, inflater = ends()
    assert inflate(inflater, deflater.deflate(b'\1\2\3', True)) == b'\1\2\3'


def test_p025_a_message_in_fragments() -> None:
    deflater, inflater = ends()
    first, last = deflater.deflate(b'\1\2', False), deflater.deflate(b'\3\4', True)
    assert inflate(inflater, first, False) == b'\1\2'
    assert inflate(inflater, last) == b'\3\4'


def test_p026_with_what_was_agreed_upon() -> None:
    deflater, inflater = ends(DeflateOptions(mem_level=5, level=9), AGREED)
    assert inflate(inflater, deflater.deflate(TEXT, True)) == TEXT


def size_of(zlib_options: dict[str, Any], parameters: Parameters) -> int:
    """That of the compressed text, with these options as a user writes them; it is the text, after all."""
    written = Options(perMessageDeflate={'zlibDeflateOptions': zlib_options})
    options = deflate_options(written)
    assert options is not None
    deflater, inflater = ends(options, parameters)
    data = deflater.deflate(TEXT, True)
    assert inflate(inflater, data) == TEXT
    return len(data)


def test_p027_the_level() -> None:
    """With 0 nothing gets smaller, and headers are added."""
    assert size_of({'level': 0}, AGREED) > len(TEXT) > size_of({'level': 9}, AGREED)


def test_p028_the_options_of_zlib() -> None:
    """``chunkSize`` has nothing to do here, where zlib is handed whole pieces: it is ignored with a warning."""
    assert size_of({'level': 0}, IN_CONTEXT) > len(TEXT) > size_of({'level': 9}, IN_CONTEXT)
    with pytest.warns(UserWarning, match='chunkSize'):
        assert size_of({'level': 9, 'chunkSize': 128}, IN_CONTEXT) == size_of({'level': 9}, IN_CONTEXT)


def twice(parameters: Parameters) -> tuple[int, int]:
    """The sizes of a message that is sent twice."""
    deflater, inflater = ends(parameters=parameters)
    first, second = deflater.deflate(b'foofoo', True), deflater.deflate(b'foofoo', True)
    assert inflate(inflater, first) == inflate(inflater, second) == b'foofoo'
    return len(first), len(second)


def test_p029_without_context_a_message_stays_as_large() -> None:
    first, second = twice(Parameters(server_no_context_takeover=True))
    assert first == second


def test_p030_with_context_it_gets_smaller() -> None:
    first, second = twice(Parameters())
    assert second < first


def test_p031_what_is_no_deflate() -> None:
    with pytest.raises(ProtocolError, match=r'^invalid compressed data$'):
        inflate(ends()[1], b'this is wrong')


def too_large(size: int) -> bool:
    """Whether a message of that size is more than 25 bytes may become."""
    deflater, inflater = ends()
    data = deflater.deflate(b'A' * size, True)
    with pytest.raises(ProtocolError, match=r'^Max payload size exceeded$'):
        inflate(inflater, data, limit=25)
    return True


def test_p032_more_than_max_payload() -> None:
    assert too_large(50)


def test_p033_much_more_than_max_payload() -> None:
    assert too_large(1024 * 1024)


def test_p034_an_end_before_the_message_has_gone() -> None:
    """Compressing is over before ``send`` returns, on the loop thread, so an end can't come in between; what it can
    come before is the writing. The callback is told that, too."""
    with server(perMessageDeflate=True) as wss:
        told = Waiter()

        @wss.on('connection')
        def connection(ws: WebSocket) -> None:
            told(ws.extensions)
            for number in range(16):  # MiB: more than the kernel takes of what nobody reads
                ws.send(os.urandom(1 << 20), lambda error, number=number: told(number, error))
            ws.terminate()

        with request(wss, KEY, VERSION, 'Sec-WebSocket-Extensions: permessage-deflate'):
            assert told.get() == ('permessage-deflate',)
            errors = dict(told.get() for _ in range(16))
            assert isinstance(errors[15], Exception)


def test_p035_a_stream_that_ends_begins_anew() -> None:
    """With its last block marked as such, as zlib does it in the end of a stream. With context takeover as well."""
    data = bytes.fromhex('33343236313533b7000000')
    for no_context_takeover in True, False:
        inflater = Inflater(None, no_context_takeover)
        assert inflate(inflater, data) == b'12345678'
        assert inflate(inflater, data) == b'12345678'
