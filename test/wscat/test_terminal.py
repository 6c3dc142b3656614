"""When the line is drawn, and when it is not."""

from __future__ import annotations

import contextlib
import os
import pty
import select
from collections.abc import Iterator
from typing import TextIO

import pytest
from support import TIMEOUT

from ws.wscat.terminal import Terminal


class Desk:
    """A terminal, and a person's side of it."""

    def __init__(self, terminal: Terminal, screen: TextIO, keyboard: int, person: int) -> None:
        self.terminal = terminal
        self.screen = screen
        self._keyboard = keyboard
        self._person = person

    def types(self, keys: bytes) -> None:
        """They wait to be read then."""
        os.write(self._person, keys)
        assert select.select([self._keyboard], [], [], TIMEOUT)[0]

    def reads(self) -> list[object]:
        """What wscat does with what waits."""
        return list(self.terminal.feed(os.read(self._keyboard, 4096)))

    def sees(self) -> bytes:
        """What has been written."""
        data = b''
        while select.select([self._person], [], [], 0.05)[0]:
            data += os.read(self._person, 4096)
        return data


@pytest.fixture
def desk() -> Iterator[Desk]:
    person, slave = pty.openpty()
    with (
        contextlib.closing(open(person, 'rb', 0)),
        open(slave, encoding='utf-8') as keyboard,
        open(slave, 'w', encoding='utf-8', closefd=False) as screen,
    ):
        terminal = Terminal(keyboard, screen)
        terminal.open()
        terminal.show()
        desk = Desk(terminal, screen, slave, person)
        assert desk.sees().endswith(b'> ')
        yield desk
        terminal.close()


def test_what_is_typed_is_all_that_is_written(desk: Desk) -> None:
    desk.types(b'abc')
    assert desk.reads() == []
    assert desk.sees() == b'abc'
    desk.types(b'd')
    desk.reads()
    assert desk.sees() == b'd'


def test_nothing_is_drawn_while_more_waits_to_be_read(desk: Desk) -> None:
    desk.types(b'def')
    list(desk.terminal.feed(b'abc'))
    assert desk.sees() == b''
    desk.reads()
    assert desk.sees() == b'abcdef'


def test_neither_for_what_comes_in(desk: Desk) -> None:
    desk.types(b'def')
    desk.terminal.write('one\n', desk.screen)
    desk.terminal.write('two\n', desk.screen)
    assert desk.sees() == b'\r\x1b[Jone\r\ntwo\r\n'
    desk.reads()
    assert desk.sees() == b'> def'


def test_lines_that_are_finished_are_written_once(desk: Desk) -> None:
    desk.types(b'three')
    assert list(desk.terminal.feed(b'one\rtwo\r')) == ['one', 'two']
    desk.reads()
    assert desk.sees() == b'\r\x1b[J> one\r\n> two\r\n> three'
