"""How characters look on a terminal: what is shown for each, and how wide that is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# What a terminal would obey, or what would change the order of what is read: control characters, the marks of
# bidirectional text, line and paragraph separators, and halves of surrogate pairs.
_find_control = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')

# What Python makes of bytes that are not in the encoding of the keyboard (PEP 383).
_find_byte = re.compile('[\udc80-\udcff]')


def visible(text: str, keep: str = '') -> str:
    """`text` with an escape sequence like ``\\x1b`` for each control character that is not in `keep`."""
    return _find_control.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def visible_typed(text: str, encoding: str) -> str:
    """The same for what was typed; also for bytes that were no text, and for what `encoding` does not have."""
    text = visible(_find_byte.sub(lambda found: f'\\x{ord(found[0]) - 0xDC00:02x}', text))
    return text.encode(encoding, 'backslashreplace').decode(encoding)


def is_text(text: str) -> bool:
    """Whether `text` is without bytes that were no text, and so can be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shared(one: Sequence[str], other: Sequence[str]) -> int:
    """With how many same characters, or rows, both begin."""
    return next((place for place, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def _escaped(character: str) -> str:
    return character.encode('unicode_escape').decode('ascii')


@lru_cache(4096)
def width_of(character: str) -> int:
    """How many columns a terminal gives to `character`, which is no control character."""
    if unicodedata.combining(character) or unicodedata.category(character) in ('Mn', 'Me', 'Cf'):
        return 0
    return 2 if unicodedata.east_asian_width(character) in 'WF' else 1
