"""The messages of a scenario, and the frames a client makes of them (RFC 6455, RFC 7692)."""

from __future__ import annotations

import json
import random
import struct
import zlib

MESSAGE_BITS = {'binary': 0x82, 'text': 0x81, 'unicode': 0x81, 'json': 0x81}  # FIN and the opcode
COMPRESSED = 0x40  # RFC 7692, section 6: RSV1
TAIL = b'\x00\x00\xff\xff'  # RFC 7692, section 7.2.1


def make_payload(kind: str, size: int, randomness: random.Random) -> bytes:
    """Exactly ``size`` bytes."""
    if kind == 'binary':
        return randomness.getrandbits(8 * size).to_bytes(size, 'big')
    if kind == 'text':
        return bytes(randomness.choices(range(ord(' '), ord('~') + 1), k=size))
    if kind == 'unicode':
        return _in_whole_characters(''.join(randomness.choices('äßжщλωאبहไ中文字語€漢😀🚀𝄞', k=size // 2)), size)
    return _quotes(size, randomness)


def _in_whole_characters(text: str, size: int) -> bytes:
    cut = text.encode()[:size].decode(errors='ignore').encode()
    return cut + b'.' * (size - len(cut))


def _quotes(size: int, randomness: random.Random) -> bytes:
    """JSON as programs send it all the time, which compresses as well as that does."""
    text = ''
    while len(text) < size:
        symbol = randomness.choice(['AAPL', 'MSFT', 'GOOG', 'AMZN', 'TSLA', 'NFLX', 'INTC', 'ORCL'])
        price, volume = round(randomness.uniform(10, 500), 2), randomness.randrange(100_000)
        text += json.dumps({'symbol': symbol, 'price': price, 'volume': volume}) + '\n'
    return text[:size].encode()


def make_payloads(kind: str, size: int, count: int) -> list[bytes]:
    randomness = random.Random(1)
    return [make_payload(kind, size, randomness) for _ in range(count)]


def masked_frame(first_byte: int, payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        header = struct.pack('!BB', first_byte, 0x80 | size)
    elif size < 1 << 16:
        header = struct.pack('!BBH', first_byte, 0x80 | 126, size)
    else:
        header = struct.pack('!BBQ', first_byte, 0x80 | 127, size)
    keys = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, 'big') ^ int.from_bytes(keys, 'big')
    return header + key + masked.to_bytes(size, 'big')


def masked_frames(kind: str, payloads: list[bytes], deflate: bool) -> bytes:
    randomness = random.Random(2)
    frames = []
    for payload in payloads:
        key = randomness.getrandbits(32).to_bytes(4, 'big')
        if deflate:
            frames.append(masked_frame(MESSAGE_BITS[kind] | COMPRESSED, _compress(payload), key))
        else:
            frames.append(masked_frame(MESSAGE_BITS[kind], payload, key))
    return b''.join(frames)


def _compress(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
