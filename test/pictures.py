"""Pictures for the documents: what a page shows, as a small PNG that says in words what is to be seen on it.

Whenever the tests run, its words are compared, and its colours, roughly: the fonts of two machines differ too much for
more. `make pictures` takes all of them anew.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from browser import Page
from documents import ROOT

FOLDER = ROOT / 'examples' / 'pictures'

#: Whether pictures are to be taken anew.
ANEW = os.environ.get('WS_TEST_PICTURES') == 'anew'

#: As different as two pictures of the same may be: on average, of 255, with each of them seen from so far away that
#: there are 32 x 20 spots. Another font makes up to 3, a page without a style sheet 12.
TOLERANCE = 4

_COLOURS = 64
_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_HEADER = struct.Struct('>IIBBBBB')
_PALETTE = 3  # a colour type
_ABOUT = b'Description\0' + b'\0\0\0\0'  # in UTF-8, not compressed, of no language


class Picture(NamedTuple):
    """One in the folder."""

    width: int
    height: int
    words: str
    data: bytes


def read(path: Path) -> Picture:
    """A picture that `write` has written. See https://www.w3.org/TR/png-3/#5DataRep."""
    data = path.read_bytes()
    assert data.startswith(_SIGNATURE)
    chunks = {}
    at = len(_SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from('>I4s', data, at)
        chunks[kind] = data[at + 8 : at + 8 + length]
        at += 12 + length
    width, height = struct.unpack_from('>II', chunks[b'IHDR'])
    assert chunks[b'iTXt'].startswith(_ABOUT)
    return Picture(width, height, chunks[b'iTXt'][len(_ABOUT) :].decode(), data)


def write(path: Path, page: Page, taken: str) -> None:
    """Keep a picture of a page, with few colours."""
    width, height, palette, pixels = page.evaluate(f'({_REDUCE})({json.dumps(taken)}, {_COLOURS})')
    rows = base64.b64decode(pixels)
    lines = b''.join(b'\0' + rows[start : start + width] for start in range(0, width * height, width))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(
        _SIGNATURE
        + _chunk(b'IHDR', _HEADER.pack(width, height, 8, _PALETTE, 0, 0, 0))
        + _chunk(b'iTXt', _ABOUT + words(page).encode())
        + _chunk(b'PLTE', bytes(palette))
        + _chunk(b'IDAT', zlib.compress(lines, 9))
        + _chunk(b'IEND', b'')
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def words(page: Page) -> str:
    """What is to be read on a page."""
    lines = page.text('body').splitlines()
    return '\n'.join(' '.join(line.split()) for line in lines if line.strip())


def difference(page: Page, one: str, other: str) -> float:
    """How much the colours of two pictures, in Base64, differ: from 0 to 255."""
    found: float = page.evaluate(f'({_COMPARE})({json.dumps(one)}, {json.dumps(other)})')
    return found


#: The most frequent colours stay, and others become the nearest of these.
_REDUCE = """async (png, colours) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const {width, height} = image;
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const kept = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a - b).slice(0, colours);
  const parts = (colour) => [colour & 255, colour >> 8 & 255, colour >> 16 & 255];
  const palette = kept.map(parts);
  const nearest = new Map(kept.map((colour, index) => [colour, index]));
  for (const colour of counts.keys()) {
    if (nearest.has(colour)) continue;
    const mine = parts(colour);
    const away = palette.map((its) => its.reduce((sum, part, index) => sum + (part - mine[index]) ** 2, 0));
    nearest.set(colour, away.indexOf(Math.min(...away)));
  }
  let binary = '';
  for (const pixel of pixels) binary += String.fromCharCode(nearest.get(pixel));
  return [width, height, palette.flat(), btoa(binary)];
}"""

_COMPARE = """async (...pngs) => {
  const [one, other] = await Promise.all(pngs.map(async (png) => {
    const blob = await (await fetch(`data:image/png;base64,${png}`)).blob();
    const options = {resizeWidth: 32, resizeHeight: 20, resizeQuality: 'high'};
    const context = new OffscreenCanvas(32, 20).getContext('2d');
    context.drawImage(await createImageBitmap(blob, options), 0, 0);
    return context.getImageData(0, 0, 32, 20).data;
  }));
  return one.reduce((sum, value, index) => sum + Math.abs(value - other[index]), 0) / (32 * 20 * 3);
}"""
