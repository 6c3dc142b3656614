"""The extension permessage-deflate: its negotiation, and what it does to messages (RFC 7692 section 7)."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterable
from typing import NamedTuple, Optional, Union

from ..errors import ProtocolError
from .extensions import Extension
from .faults import too_large

EXTENSION = 'permessage-deflate'

#: The largest window, 32 KiB: what is in force where nothing else was agreed (RFC 7692 section 7.1.2).
_MAX_WINDOW_BITS = 15
#: The smallest window that zlib compresses with, although the protocol has one of 8 bits.
_MIN_ZLIB_WINDOW_BITS = 9

#: What ends the output of a flush: the sender takes it off, the receiver puts it back (RFC 7692 section 7.2.1).
_TAIL = b'\x00\x00\xff\xff'
#: A message, or the rest of one, for which zlib has nothing to write (RFC 7692 section 7.2.3.6).
_EMPTY = b'\x00'
#: Bytes that come out at a time: of so few of them as go in, up to 16 MiB might come.
PIECE = 262144
#: Bytes that are handed in at a time.
PORTION = 16384
#: So many blocks with BFINAL set are taken in a message, and one more for so many compressed bytes: who knows no other
#: way to flush has one at the end of the message, or of each frame (RFC 7692 section 7.2.3.4).
FINAL_BLOCKS = 16
BYTES_PER_FINAL_BLOCK = 1024

# RFC 7692 section 7.1.2: decimal, without leading zeros.
_is_window_bits = re.compile('[89]|1[0-5]').fullmatch


class DeflateOptions(NamedTuple):
    """What the user wants, on either side. None is "as the peer wants it", False "not at all"."""

    server_no_context_takeover: Optional[bool] = None
    client_no_context_takeover: Optional[bool] = None
    server_max_window_bits: Union[bool, int, None] = None
    client_max_window_bits: Union[bool, int, None] = None
    #: Bytes; smaller messages are not compressed, unless they have the context of those before them.
    threshold: int = 1024
    level: int = zlib.Z_DEFAULT_COMPRESSION
    mem_level: int = zlib.DEF_MEM_LEVEL
    strategy: int = zlib.Z_DEFAULT_STRATEGY
    #: What both ends know from somewhere, and messages may refer to as if it had been sent: ours, and the peer's.
    deflate_dictionary: bytes = b''
    inflate_dictionary: bytes = b''


class Parameters(NamedTuple):
    """The parameters of an offer or an answer, under their own names (RFC 7692 section 7.1)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: Optional[int] = None
    #: True in an offer: the client can do it, and leaves the number to the server.
    client_max_window_bits: Union[bool, int, None] = None

    def extension(self) -> Extension:
        """As they are written down."""
        given = [(name, value) for name, value in zip(self._fields, self) if value]
        return Extension(EXTENSION, [(name, None if value is True else str(value)) for name, value in given])


def parse_parameters(extension: Extension) -> Parameters:
    """The parameters of an offer or an answer. Raises ValueError naming the one that is wrong."""
    values: dict[str, Union[bool, int]] = {}
    for name, value in extension.parameters:
        if name not in Parameters._fields:
            raise ValueError(f'Unknown parameter "{name}"')
        if name in values:
            raise ValueError(f'Parameter "{name}" must have only a single value')
        values[name] = _parse_value(name, value)
    return Parameters(**values)  # type: ignore[arg-type]  # _parse_value gives what each of them takes


def _parse_value(name: str, value: Optional[str]) -> Union[bool, int]:
    if value is None:
        if name != 'server_max_window_bits':
            return True
    elif name.endswith('_max_window_bits') and _is_window_bits(value):
        return int(value)
    raise ValueError(f'Invalid value for parameter "{name}": {value}')


def make_offer(options: DeflateOptions) -> Parameters:
    """What a client offers: one set of parameters, as Node's ws does."""
    return Parameters(
        bool(options.server_no_context_takeover),
        bool(options.client_no_context_takeover),
        options.server_max_window_bits or None,
        True if options.client_max_window_bits is None else options.client_max_window_bits or None,
    )


def accept_offer(options: DeflateOptions, extensions: Iterable[Extension]) -> Optional[Parameters]:
    """What a server answers: the first acceptable offer with what `options` add to it; None if there is no offer, or
    the client is one that can't do with the window it is to have.

    Raises ValueError if no offer grants what the client asks for, or one of them is malformed. RFC 7692 section 5.1
    would rather go on without compression; Node's ws refuses the request, as the client may rely on what it asks for.
    """
    offers = [parse_parameters(extension) for extension in extensions if extension.name == EXTENSION]
    acceptable = [offer for offer in offers if _is_acceptable(options, offer)]
    for offer in acceptable:
        # RFC 7692 section 7.1.2.2: not in the answer if it is not in the offer.
        if not (options.client_max_window_bits and offer.client_max_window_bits is None):
            return _answer(options, offer)
    if offers and not acceptable:
        raise ValueError('None of the extension offers can be accepted')
    return None


def _is_acceptable(options: DeflateOptions, offer: Parameters) -> bool:
    if offer.server_no_context_takeover and options.server_no_context_takeover is False:
        return False
    if offer.server_max_window_bits is not None:
        wanted = options.server_max_window_bits
        if wanted is False or (wanted is not None and wanted > offer.server_max_window_bits):
            return False
    limit = offer.client_max_window_bits
    return not options.client_max_window_bits or limit in (True, None) or options.client_max_window_bits <= limit


def _answer(options: DeflateOptions, offer: Parameters) -> Parameters:
    client_bits = options.client_max_window_bits
    if client_bits is None and offer.client_max_window_bits is not True:
        client_bits = offer.client_max_window_bits
    return Parameters(
        offer.server_no_context_takeover or bool(options.server_no_context_takeover),
        offer.client_no_context_takeover or bool(options.client_no_context_takeover),
        options.server_max_window_bits or offer.server_max_window_bits,
        client_bits or None,
    )


def check_answer(options: DeflateOptions, extension: Extension) -> Parameters:
    """What a client makes of a server's answer to its offer: the parameters in force.

    Raises ValueError if it is malformed, or not an answer to that offer (RFC 7692 section 5.1).
    """
    answer = parse_parameters(extension)
    if options.server_no_context_takeover and not answer.server_no_context_takeover:
        raise ValueError('Missing parameter "server_no_context_takeover"')
    if options.client_no_context_takeover is False and answer.client_no_context_takeover:
        raise ValueError('Unexpected parameter "client_no_context_takeover"')
    if options.server_max_window_bits and (answer.server_max_window_bits or 16) > options.server_max_window_bits:
        raise ValueError('Missing or invalid parameter "server_max_window_bits"')
    wanted = options.client_max_window_bits
    if answer.client_max_window_bits is None:
        # A client may always do with less than it was allowed.
        return answer._replace(client_max_window_bits=wanted or None)
    if answer.client_max_window_bits is True or (wanted is not None and answer.client_max_window_bits > wanted):
        raise ValueError('Unexpected or invalid parameter "client_max_window_bits"')
    return answer


class Deflater:
    """Compresses the messages of one connection, one after the other."""

    __slots__ = ('_bits', '_options', '_reset', '_strategy', '_stream', 'threshold')

    def __init__(self, options: DeflateOptions, max_window_bits: Optional[int], no_context_takeover: bool) -> None:
        self._options = options
        self._bits = max_window_bits or _MAX_WINDOW_BITS
        self._strategy = options.strategy
        if self._bits < _MIN_ZLIB_WINDOW_BITS:
            # Of all that zlib can do, this alone is sure not to reach back 256 bytes or more: it looks for nothing but
            # bytes that are repeated at once.
            self._bits = _MIN_ZLIB_WINDOW_BITS
            self._strategy = zlib.Z_RLE
        self._reset = no_context_takeover
        #: Bytes; messages that are smaller are not worth it. With context takeover, all are (so too in Node's ws).
        self.threshold: int = min(int(options.threshold), sys.maxsize) if no_context_takeover else 0
        self._stream: Optional[zlib._Compress] = None

    def deflate(self, data: bytes, fin: bool) -> bytes:
        """Return the payload of the next frame; all that it stands for can be read as soon as it has arrived."""
        stream = self._stream
        if stream is None:
            options = self._options
            stream = self._stream = zlib.compressobj(
                options.level,
                zlib.DEFLATED,
                -self._bits,
                options.mem_level,
                self._strategy,
                options.deflate_dictionary,
            )
        payload = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
        if not fin:
            return payload
        if self._reset:
            self._stream = None
        # There is no output if nothing came since the last flush.
        return payload[: -len(_TAIL)] or _EMPTY

    def cleanup(self) -> None:
        """Let go of the memory, which may be 256 KiB; the next message would begin anew."""
        self._stream = None


class Inflater:
    """Decompresses the messages of one connection, one after the other."""

    __slots__ = ('_bits', '_data', '_dictionary', '_fin', '_final_blocks', '_reset', '_size', '_stream', 'under_way')

    def __init__(self, max_window_bits: Optional[int], no_context_takeover: bool, dictionary: bytes = b'') -> None:
        # As in Deflater: peers that call 9 bits 8 are understood, too.
        self._bits = max(max_window_bits or _MAX_WINDOW_BITS, _MIN_ZLIB_WINDOW_BITS)
        self._reset = no_context_takeover
        self._dictionary = dictionary
        self._stream: Optional[zlib._Decompress] = None
        self._size = 0  # compressed bytes of the message so far
        self._final_blocks = 0  # among them
        self._data = b''  # what has been handed in, and not yet been looked at
        self._fin = False  # that is the last of a message
        #: Whether there may be more of what the bytes that were handed in stand for.
        self.under_way: bool = False

    def begin(self, data: bytes, fin: bool) -> None:
        """Hand in the next bytes of a message, best no more than :data:`PORTION`; `fin` tells that they are its last.
        What they stand for is had from :meth:`inflate`, as long as :attr:`under_way` is true."""
        if fin:
            data += _TAIL
        self._size += len(data)
        self._data = data
        self._fin = fin
        self.under_way = bool(data)

    def inflate(self, limit: int) -> bytes:
        """Return the next piece, at most :data:`PIECE` bytes.

        Raises ProtocolError with close code 1009 if that is more than `limit` bytes (at most ``sys.maxsize - 1``), with
        1007 if the data is no DEFLATE, and with 1008 if it begins anew too often.
        """
        data, room = self._data, min(PIECE, limit + 1)
        pieces: list[bytes] = []
        while room:
            if self._stream is None:
                if self._begins_too_often(self._size - len(data)):
                    if not any(pieces):
                        raise ProtocolError('Too many final blocks in a compressed message', 1008)
                    self._data = data  # next time: what has come out is looked at first, whatever portions it came in
                    return b''.join(pieces)
                if not data or (self._fin and len(data) == len(_TAIL)):
                    break  # behind a block with BFINAL set there is nothing to put the tail back to
                self._stream = zlib.decompressobj(-self._bits, self._dictionary)
            try:
                piece = self._stream.decompress(data, room)
            except zlib.error:
                raise ProtocolError('invalid compressed data', 1007) from None
            pieces.append(piece)
            room -= len(piece)
            limit -= len(piece)
            if self._stream.eof:
                data = self._stream.unused_data
                self._stream = None
                self._final_blocks += 1
            elif room:  # all has been used, and there is no more in zlib's window
                break
            else:
                data = self._stream.unconsumed_tail
        if limit < 0:
            raise too_large()
        if room:
            self._end()
        else:
            self._data = data
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def _end(self) -> None:
        """All that was handed in has been inflated."""
        self._data = b''
        self.under_way = False
        if self._fin:
            self._size = self._final_blocks = 0
            if self._reset:
                self._stream = None

    def _begins_too_often(self, size: int) -> bool:
        """Behind a block with BFINAL set, `size` bytes into the message, more may follow (RFC 7692 section 7.2.1): has
        there been too much of that?

        Two bytes are enough to have a stream made and thrown away, and no limit on what comes out would notice.
        """
        return self._final_blocks > FINAL_BLOCKS + size // BYTES_PER_FINAL_BLOCK


class PerMessageDeflate(NamedTuple):
    """The extension as it is in force on one end of a connection."""

    parameters: Parameters
    deflater: Deflater
    inflater: Inflater


def agreed(options: DeflateOptions, parameters: Parameters, is_server: bool) -> PerMessageDeflate:
    """The extension in force with the `parameters` of the server's answer."""
    of_server = parameters.server_max_window_bits, parameters.server_no_context_takeover
    of_client = parameters.client_max_window_bits, parameters.client_no_context_takeover
    own, peer = (of_server, of_client) if is_server else (of_client, of_server)
    return PerMessageDeflate(parameters, Deflater(options, *own), Inflater(*peer, options.inflate_dictionary))
