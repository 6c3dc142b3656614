"""A line that is being typed: text with a cursor, what keys do to it, and the lines before it. Knows no screen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from .characters import shared

# One key: an escape sequence, as much ordinary text as there is, or a control character. A sequence that has not come
# whole yet is none of them.
_match_key = re.compile('\x1b(?:\\[[0-?]*[ -/]*[^ -?]|O[\\s\\S]|[^[O])|[^\x00-\x1f\x7f]+|[^\x1b]').match
# The same in what is pasted, where nothing but line ends and the end of it is a key.
_match_pasted = re.compile('\x1b\\[201~|[\r\n]|[^\x1b\r\n]+|\x1b(?!(?:\\[(?:2(?:01?)?)?)?\\Z)').match
_last_word = re.compile(r'\w*\W*\Z')
_match_word = re.compile(r'\W*\w*').match

_ENTER = ('\r', '\n')
_CTRL_D, _CTRL_G, _TAB, _ESC = '\x04', '\x07', '\t', '\x1b'
_DEL = '\x7f'
_BACKSPACE = ('\x08', _DEL)
_OLDER, _NEWER = '\x12', '\x13'  # Ctrl-R, Ctrl-S
_PASTE, _PASTED = '\x1b[200~', '\x1b[201~'

#: How many lines can be recalled.
MAX_LINES = 1000
#: How much of what is searched for is shown, in characters.
_MAX_SHOWN = 40

#: What LineEditor.feed yields when the line is empty and Ctrl-D was typed.
END = None


def _is_text(key: str) -> bool:
    return key >= ' ' and key != _DEL


@dataclass
class _Search:
    """A search in the history, key by key."""

    #: Text, cursor and place in the history when it began.
    origin: tuple[str, int, int]
    #: From one line to the next that is looked at.
    step: int
    text: str = ''
    failed: bool = False

    def prompt(self) -> str:
        failed = 'failed ' if self.failed else ''
        kind = 'reverse-i-search' if self.step < 0 else 'i-search'
        return f"({failed}{kind})`{self.text[-_MAX_SHOWN:]}': "


class LineEditor:
    """A line of text with a cursor, and the lines before it. Takes keys, gives finished lines.

    `commands` are words that Tab completes at the beginning of a line.
    """

    def __init__(self, history: Sequence[str] = (), commands: Sequence[str] = ()) -> None:
        self._text = ''
        self._typed: list[str] = []  # what has been typed before the cursor since, so that a paste takes linear time
        #: Where the next character goes.
        self.cursor: int = 0
        #: The commands that Tab has found several of, until the next keys.
        self.candidates: list[str] = []
        #: What has come into the history, until the next keys.
        self.remembered: list[str] = []
        self._commands = commands
        self._unread = ''  # the beginning of an escape sequence
        self._pasting = False
        self._history = list(history)
        self._place = len(self._history)  # in the history; at its end for the line that is new
        self._draft = ''  # that line, while an old one is shown
        self._search: Optional[_Search] = None
        self._sought = ''  # what was last searched for
        self._killed = ''

    @property
    def text(self) -> str:
        if self._typed:
            typed = ''.join(self._typed)
            start = self.cursor - len(typed)
            self._text = self._text[:start] + typed + self._text[start:]
            self._typed = []
        return self._text

    @property
    def prompt(self) -> Optional[str]:
        """What stands before the line instead of its usual prompt, while something is searched for."""
        return None if self._search is None else self._search.prompt()

    @property
    def may_be_escape(self) -> bool:
        """Whether the key Esc would end a search: either it was typed, or there is more to come of a sequence."""
        return self._search is not None and self._unread == _ESC and not self._pasting

    def escape(self) -> None:
        """No more has come: it was the key Esc."""
        self._unread = ''
        self._end_search()

    def feed(self, keys: str) -> Iterator[Optional[str]]:
        """Type `keys`; yields each finished line, and END for Ctrl-D on an empty one."""
        self.candidates, self.remembered = [], []
        keys = self._unread + keys
        place = 0
        while match := (_match_pasted if self._pasting else _match_key)(keys, place):
            place = match.end()
            yield from self._press(match[0])
        self._unread = keys[place:]

    def _press(self, key: str) -> Iterator[Optional[str]]:
        if key in (_PASTE, _PASTED):
            self._pasting = key == _PASTE
        elif self._search is not None and self._takes(self._search, key):
            pass
        elif key in _ENTER:
            yield self._finish()
        elif self._pasting or _is_text(key):
            self._insert(key)
        elif key == _TAB:
            self._complete()
        elif key == _CTRL_D and not self.text:
            yield END
        elif key in _ACTIONS:
            self._act(key)

    def _act(self, key: str) -> None:
        self._text = self.text  # where the cursor still is
        _ACTIONS[key](self)

    def _finish(self) -> str:
        line = self.text
        if line and line not in self._history[-1:]:
            self._history.append(line)
            self.remembered.append(line)
            del self._history[:-MAX_LINES]
        self._place = len(self._history)
        self._set('', 0)
        return line

    def _insert(self, text: str) -> None:
        self._typed.append(text)
        self.cursor += len(text)

    def _set(self, text: str, cursor: int) -> None:
        self._text, self._typed, self.cursor = text, [], cursor

    # -- moving ------------------------------------------------------------------------------------------------------

    def _left(self) -> None:
        self.cursor = max(0, self.cursor - 1)

    def _right(self) -> None:
        self.cursor = min(len(self.text), self.cursor + 1)

    def _to_start(self) -> None:
        self.cursor = 0

    def _to_end(self) -> None:
        self.cursor = len(self.text)

    def _word_left(self) -> None:
        self.cursor = self._start_of_word()

    def _word_right(self) -> None:
        self.cursor = self._end_of_word()

    def _start_of_word(self) -> int:
        match = _last_word.search(self.text[: self.cursor])
        return match.start() if match else 0

    def _end_of_word(self) -> int:
        match = _match_word(self.text, self.cursor)
        return match.end() if match else len(self.text)

    # -- deleting ----------------------------------------------------------------------------------------------------

    def _delete(self, start: int, end: int) -> None:
        self._set(self.text[:start] + self.text[end:], start)

    def _kill(self, start: int, end: int) -> None:
        self._killed = self.text[start:end]
        self._delete(start, end)

    def _delete_left(self) -> None:
        self._delete(max(0, self.cursor - 1), self.cursor)

    def _delete_right(self) -> None:
        self._delete(self.cursor, self.cursor + 1)

    def _kill_to_start(self) -> None:
        self._kill(0, self.cursor)

    def _kill_to_end(self) -> None:
        self._kill(self.cursor, len(self.text))

    def _kill_word_left(self) -> None:
        self._kill(self._start_of_word(), self.cursor)

    def _kill_word_right(self) -> None:
        self._kill(self.cursor, self._end_of_word())

    def _yank(self) -> None:
        self._insert(self._killed)

    # -- completing --------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        """Put in what is left of the command that is begun before the cursor; a tab if there is none."""
        found = self._begun()
        if not found:
            return self._insert(_TAB)
        ending = found[0][self.cursor : shared(min(found), max(found))] + ('' if len(found) > 1 else ' ')
        self._insert(ending)
        self.candidates = [] if ending else found

    def _begun(self) -> list[str]:
        if not 0 < self.cursor <= max(map(len, self._commands), default=0):  # without a look at a text that may be long
            return []
        begun = self.text[: self.cursor]
        return [command for command in self._commands if command.startswith(begun)]

    # -- history -----------------------------------------------------------------------------------------------------

    def _older(self) -> None:
        self._go_to(self._place - 1)

    def _newer(self) -> None:
        self._go_to(self._place + 1)

    def _go_to(self, place: int) -> None:
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._draft = self.text
        self._place = place
        text = self._draft if place == len(self._history) else self._history[place]
        self._set(text, len(text))

    # -- searching there ---------------------------------------------------------------------------------------------

    def _search_older(self) -> None:
        self._begin_search(-1)

    def _search_newer(self) -> None:
        self._begin_search(1)

    def _begin_search(self, step: int) -> None:
        self._search = _Search((self.text, self.cursor, self._place), step)

    def _takes(self, search: _Search, key: str) -> bool:
        """What a key does while something is searched for. False if it ends the search and does what it always does."""
        if _is_text(key) or (self._pasting and key not in _ENTER):
            self._extend(search, key)
        elif key in _BACKSPACE:
            self._seek(search, search.text[:-1])
        elif key in (_OLDER, _NEWER):
            self._seek_next(search, -1 if key == _OLDER else 1)
        elif key == _CTRL_G:
            text, cursor, self._place = search.origin
            self._set(text, cursor)
            self._end_search()
        else:
            self._end_search()
            return False
        return True

    def _end_search(self) -> None:
        if self._search is not None:
            self._sought = self._search.text or self._sought
            self._search = None

    def _extend(self, search: _Search, text: str) -> None:
        for place, character in enumerate(text):
            if search.text not in self.text:  # nor will it be found with more behind it
                search.text += text[place:]
                return
            self._seek(search, search.text + character)

    def _seek(self, search: _Search, text: str) -> None:
        """Search for another text, from the line that is shown."""
        search.text = text
        search.failed = False
        if text:
            self._find(search, range(self._place, len(self._history) if search.step > 0 else -1, search.step))

    def _seek_next(self, search: _Search, step: int) -> None:
        search.step = step
        if not search.text:
            return self._seek(search, self._sought)
        self._find(search, range(self._place + step, len(self._history) if step > 0 else -1, step), self.text)

    def _find(self, search: _Search, places: range, other_than: Optional[str] = None) -> None:
        """Go to the first of these places whose line has what is searched for."""
        for place in places:
            line = self._history[place] if place < len(self._history) else ''
            if search.text in line and line != other_than:
                self._go_to(place)
                self.cursor = line.index(search.text)
                search.failed = False
                return
        search.failed = True


# As readline has them, and what terminals send for the keys with names.
_ACTIONS = {
    key: action
    for action, keys in (
        (LineEditor._left, ('\x02', '\x1b[D', '\x1bOD')),
        (LineEditor._right, ('\x06', '\x1b[C', '\x1bOC')),
        (LineEditor._to_start, ('\x01', '\x1b[H', '\x1bOH', '\x1b[1~', '\x1b[7~')),
        (LineEditor._to_end, ('\x05', '\x1b[F', '\x1bOF', '\x1b[4~', '\x1b[8~')),
        (LineEditor._word_left, ('\x1bb', '\x1b[1;5D', '\x1b[1;3D')),
        (LineEditor._word_right, ('\x1bf', '\x1b[1;5C', '\x1b[1;3C')),
        (LineEditor._delete_left, _BACKSPACE),
        (LineEditor._delete_right, (_CTRL_D, '\x1b[3~')),
        (LineEditor._kill_to_start, ('\x15',)),
        (LineEditor._kill_to_end, ('\x0b',)),
        (LineEditor._kill_word_left, ('\x17', '\x1b\x7f', '\x1b\x08')),
        (LineEditor._kill_word_right, ('\x1bd',)),
        (LineEditor._yank, ('\x19',)),
        (LineEditor._older, ('\x10', '\x1b[A', '\x1bOA')),
        (LineEditor._newer, ('\x0e', '\x1b[B', '\x1bOB')),
        (LineEditor._search_older, (_OLDER,)),
        (LineEditor._search_newer, (_NEWER,)),
    )
    for key in keys
}
