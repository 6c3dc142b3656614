"""The line that is being typed, on a terminal: long ones, pastes, the history, completion, encodings."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Log, echo_server, server, url_of
from terminals import CONNECTED, RawServer, typing_to
from window import (
    BACKSPACE,
    CTRL_A,
    CTRL_C,
    CTRL_D,
    CTRL_E,
    CTRL_G,
    CTRL_K,
    CTRL_R,
    CTRL_S,
    CTRL_U,
    CTRL_W,
    CTRL_Y,
    CTRL_Z,
    DOWN,
    ENTER,
    ESC,
    LEFT,
    RIGHT,
    TAB,
    UP,
    Window,
    python,
)

from ws import WebSocket

# -- pastes ------------------------------------------------------------------------------------------------------------

COLUMNS, ROWS = 72, 24


def rows_of(line: str, columns: int = COLUMNS) -> list[str]:
    """As a terminal breaks it."""
    return [line[place : place + columns] for place in range(0, len(line), columns)]


def everything(window: Window) -> list[str]:
    """What has been scrolled off, and what is on the screen."""
    return window.scrollback() + window.lines()


def ends_with(window: Window, text: str) -> bool:
    """Whether what is on the screen ends with `text`, in however many rows."""
    return ''.join(window.lines()).endswith(text)


def numbered(size: int) -> str:
    """A line of so many characters, of which every part is told apart."""
    return ''.join(f'{number:07},' for number in range(size // 8))


@pytest.mark.parametrize('way', ['type', 'pastes'])
def test_a_long_line_that_is_pasted(way: str) -> None:
    """Not what is drawn for each piece that comes, but what comes is the measure of what is written."""
    line = numbered(60_000)
    with server() as wss, typing_to(wss) as (window, _, log):
        window.shows(CONNECTED, '>')
        before = len(window.output)
        getattr(window, way)(line)
        window.until(lambda: ends_with(window, line[-20:]))
        assert window.scrollback() == []
        assert window.lines()[0] == CONNECTED
        assert window.lines()[1].startswith('> ...')
        assert len(window.output) - before < 2 * len(line)
        window.type(ENTER)
        window.until(lambda: window.lines()[-1] == '>')
        assert log.get()[:2] == ('message', line)
        assert everything(window) == [CONNECTED, *rows_of('> ' + line), '>']
        assert len(window.output) - before < 3 * len(line)


@pytest.mark.parametrize('way', ['type', 'pastes'])
def test_many_lines_that_are_pasted(way: str) -> None:
    lines = [f'{number:06} ' + 42 * 'x' for number in range(1000)]
    text = '\r'.join(lines)
    with server() as wss, typing_to(wss) as (window, _, log):
        window.shows(CONNECTED, '>')
        before = len(window.output)
        getattr(window, way)(text)
        window.until(lambda: window.lines()[-1] == '> ' + lines[-1])
        window.type(ENTER)
        window.until(lambda: window.lines()[-1] == '>')
        assert [log.get()[1] for _ in lines] == lines
        assert everything(window) == [CONNECTED, *('> ' + line for line in lines), '>']
        assert len(window.output) - before < 3 * len(text)


def test_keys_in_a_paste_are_text() -> None:
    with server() as wss, typing_to(wss, '--slash') as (window, _, log):
        window.pastes('/p\ta\x01\x12\x7fb' + UP)
        window.shows(CONNECTED, '> /p\\ta\\x01\\x12\\x7fb\\x1b[A')
        window.type(CTRL_A + 'x' + ENTER)
        assert log.get()[1] == 'x/p\ta\x01\x12\x7fb\x1b[A'


def test_the_terminal_marks_no_pastes_afterwards() -> None:
    with server() as wss, typing_to(wss) as (window, _, _):
        window.shows(CONNECTED, '>')
        window.type(CTRL_Z)
        window.stopped()
        window.until(lambda: window.output.endswith(b'\x1b[?2004l'))
        window.goes_on()
        window.shows(CONNECTED, '>')
        window.type(CTRL_D)
        window.ends()
        assert window.output.count(b'\x1b[?2004h') == window.output.count(b'\x1b[?2004l') == 2


def test_messages_that_come_in_while_something_is_pasted() -> None:
    line = numbered(50_000)
    with server() as wss, typing_to(wss) as (window, ws, log):
        window.shows(CONNECTED, '>')
        said = []
        for place in range(0, len(line), 10_000):
            said.append(f'message {place}')
            ws.send(said[-1])
            window.type(line[place : place + 10_000])
        window.until(lambda: f'< {said[-1]}' in everything(window) and ends_with(window, line[-20:]))
        shown = everything(window)
        assert shown[: len(said) + 1] == [CONNECTED, *(f'< {message}' for message in said)]
        assert shown[len(said) + 1].startswith('> ...')
        assert len(shown) <= len(said) + ROWS
        window.type(ENTER)
        window.until(lambda: window.lines()[-1] == '>')
        assert log.get()[1] == line
        assert everything(window) == [*shown[: len(said) + 1], *rows_of('> ' + line), '>']


# -- a line that is longer than the screen -----------------------------------------------------------------------------


@contextlib.contextmanager
def a_long_line() -> Iterator[tuple[Window, WebSocket, Log]]:
    """One is being typed in a window of 20 columns and 6 rows, which is full of messages."""
    with server() as wss, typing_to(wss, columns=20, rows=6) as (window, ws, log):
        window.until(lambda: window.lines()[-1] == '>')
        for number in range(10):
            ws.send(f'message {number}')
        window.until(lambda: window.lines()[-2] == '< message 9')
        window.type(numbered(400))
        window.until(lambda: ends_with(window, LONG[-20:]))
        yield window, ws, log


LONG = numbered(400)
SAID = [f'< message {number}' for number in range(10)]


def drawn(window: Window) -> list[str]:
    """The rows of the line."""
    rows = window.lines()
    return rows[next((number for number, row in enumerate(rows) if row.startswith('>')), len(rows)) :]


def above(window: Window) -> list[str]:
    """The messages above it, and all else that is there but "Connected"."""
    rows = everything(window)
    del rows[len(rows) - len(drawn(window)) :]
    connected = next((number for number, row in enumerate(rows) if row.startswith('<')), len(rows))
    return rows[connected:] if ''.join(rows[:connected]) == CONNECTED else rows  # it is being drawn anew, or is wrong


def test_one_row_is_left_for_what_came_in_last() -> None:
    with a_long_line() as (window, ws, log):
        assert drawn(window)[0].startswith('> ...')
        assert above(window) == SAID
        ws.send('incoming')
        window.until(lambda: above(window) == [*SAID, '< incoming'] and ends_with(window, LONG[-20:]))
        window.type(CTRL_A)
        window.shows('< incoming', *rows_of('> ' + LONG[:78], 20), LONG[78:94] + '...', cursor=(1, 2))
        assert above(window) == [*SAID, '< incoming']
        window.type(ENTER)
        assert log.get()[1] == LONG
        window.until(lambda: window.lines()[-1] == '>')
        assert everything(window)[2:] == [*SAID, '< incoming', *rows_of('> ' + LONG, 20), '>']


def test_moving_and_editing_in_it() -> None:
    def at_cursor() -> str:
        row, column = window.cursor()
        return ''.join(row.ljust(20) for row in window.lines())[20 * row + column :]

    with a_long_line() as (window, ws, log):
        window.type(CTRL_A + 'X')
        window.until(lambda: ''.join(drawn(window)).startswith('> X0000000,'))
        ws.send('incoming')
        window.until(lambda: window.lines()[0] == '< incoming' and window.cursor() == (1, 3))
        window.type(100 * RIGHT)
        window.until(lambda: at_cursor().startswith(LONG[100:120]))
        assert drawn(window)[0].startswith('> ...')
        assert above(window) == [*SAID, '< incoming']
        window.type('Y' + CTRL_E + 'Z')
        window.until(lambda: ends_with(window, LONG[-20:] + 'Z'))
        window.type(CTRL_W + CTRL_W + CTRL_Y + ENTER)
        assert log.get()[1] == f'X{LONG[:100]}Y{LONG[100:]}'
        window.until(lambda: window.lines()[-1] == '>')
        assert everything(window)[2:13] == [*SAID, '< incoming']


def test_deleting_it() -> None:
    with a_long_line() as (window, _, _):
        window.type(CTRL_U)
        window.until(lambda: drawn(window) == ['>'])
        assert above(window) == SAID
        window.type(CTRL_Y + CTRL_A + 10 * RIGHT + CTRL_K)
        window.until(lambda: drawn(window) == ['> 0000000,00'] and window.cursor()[1] == 12)
        assert above(window) == SAID


@pytest.mark.parametrize('size', [(30, 6), (20, 12), (60, 20), (100, 40)])
def test_a_larger_window(size: tuple[int, int]) -> None:
    with a_long_line() as (window, ws, log):
        window.resize(*size)
        ws.send('incoming')
        window.until(lambda: above(window) == [*SAID, '< incoming'] and ends_with(window, LONG[-20:]))
        window.type(CTRL_A)
        window.until(lambda: ''.join(drawn(window)).startswith('> 0000000,'))
        assert above(window) == [*SAID, '< incoming']
        window.type(ENTER)
        assert log.get()[1] == LONG


@pytest.mark.parametrize('size', [(13, 6), (20, 3), (12, 2), (4, 4)])
def test_a_smaller_window(size: tuple[int, int]) -> None:
    """What of the line has no room there any more, the terminal itself has scrolled off."""
    with a_long_line() as (window, ws, log):
        window.resize(*size)
        ws.send('incoming')
        window.until(lambda: 'incoming' in ''.join(everything(window)))
        window.type('X' + CTRL_A + 'Y' + ENTER)
        assert log.get()[1] == f'Y{LONG}X'


UNIT = 'a日本語👋e\u0301\t\x1b'
SHOWN = 'a日本語👋\u00e9\\t\\x1b'


def test_wide_characters_in_a_long_line() -> None:
    line = 50 * UNIT + 'END'
    with server() as wss, typing_to(wss, columns=21, rows=6) as (window, ws, log):
        window.pastes(line)
        window.until(lambda: ends_with(window, 'END'))
        before = drawn(window)
        assert ''.join(before).replace(' ', '').endswith(2 * SHOWN + 'END')
        ws.send('incoming')
        window.until(lambda: '< incoming' in everything(window) and drawn(window) == before)
        window.type(CTRL_A)
        window.until(lambda: ''.join(drawn(window)).startswith('> a日本語👋'))
        assert ''.join(drawn(window)).replace(' ', '').startswith('>' + 2 * SHOWN)
        window.type(ENTER)
        assert log.get()[1] == line
        window.until(lambda: window.lines()[-1] == '>')
        assert ''.join(everything(window)).replace(' ', '').endswith('<incoming>' + 50 * SHOWN + 'END>')


# -- searching the history ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def with_a_past(*options: str, **window: object) -> Iterator[tuple[Window, WebSocket, Log]]:
    with server() as wss, typing_to(wss, *options, **window) as (window, ws, log):
        for line in ('one', 'two', 'three', 'two'):
            window.type(line + ENTER)
            assert log.get()[1] == line
        window.until(lambda: window.lines()[-2:] == ['> two', '>'])
        yield window, ws, log


def test_searching_the_history() -> None:
    with with_a_past() as (window, ws, log):
        window.type('new' + CTRL_R)
        window.until(lambda: window.lines()[-1] == "(reverse-i-search)`': new")
        window.type('t')
        window.until(lambda: window.lines()[-1] == "(reverse-i-search)`t': two")
        window.type(CTRL_R)
        window.until(lambda: window.lines()[-1] == "(reverse-i-search)`t': three")
        ws.send('incoming')
        window.until(lambda: window.lines()[-2:] == ['< incoming', "(reverse-i-search)`t': three"])
        window.type('x')
        window.until(lambda: window.lines()[-1] == "(failed reverse-i-search)`tx': three")
        window.type(BACKSPACE + CTRL_S)
        window.until(lambda: window.lines()[-1] == "(i-search)`t': two")
        window.type(CTRL_R + ENTER)
        assert log.get()[1] == 'three'
        window.until(lambda: window.lines()[-3:] == ['< incoming', '> three', '>'])
        assert everything(window) == [CONNECTED, '> one', '> two', '> three', '> two', '< incoming', '> three', '>']


def test_giving_up_a_search() -> None:
    with with_a_past() as (window, _, log):
        window.type('new' + LEFT + CTRL_R + 'on')
        window.until(lambda: window.lines()[-1] == "(reverse-i-search)`on': one")
        window.type(CTRL_G)
        window.until(lambda: window.lines()[-1] == '> new' and window.cursor()[1] == 4)
        window.type(CTRL_R + 'on')
        window.until(lambda: window.lines()[-1] == "(reverse-i-search)`on': one")
        window.type(DOWN)
        window.until(lambda: window.lines()[-1] == '> two')
        window.type('!' + ENTER)
        assert log.get()[1] == 'two!'


def test_esc_leaves_what_was_found_to_be_edited() -> None:
    with with_a_past() as (window, _, log):
        window.type(CTRL_R + 'hre')
        window.until(lambda: window.lines()[-1] == "(reverse-i-search)`hre': three" and window.cursor()[1] == 26)
        window.type(ESC)
        window.until(lambda: window.lines()[-1] == '> three' and window.cursor()[1] == 3)
        window.type('[]' + ENTER)
        assert log.get()[1] == 't[]hree'


def test_a_search_while_the_connection_ends() -> None:
    with with_a_past() as (window, ws, _):
        window.type(CTRL_R + 'hre')
        window.until(lambda: window.lines()[-1] == "(reverse-i-search)`hre': three")
        ws.close(1000, 'bye')
        window.until(lambda: window.lines()[-2:] == ['> two', 'Disconnected (code: 1000, reason: "bye")'])
        window.ends()


# -- a history that lasts ----------------------------------------------------------------------------------------------


def test_the_history_of_an_earlier_session(tmp_path: Path) -> None:
    file = tmp_path / 'history'
    with server() as wss:
        with typing_to(wss, '--history', str(file)) as (window, _, log):
            for line in ('one', ' secret', 'two', 'two', '/ping'):
                window.type(line + ENTER)
                assert log.get()[1] == line
            window.type(CTRL_D)
            window.ends()
        assert file.read_text() == 'one\ntwo\n/ping\n'
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with typing_to(wss, '--history', str(file)) as (window, _, log):
            window.type(UP + UP + '!' + ENTER)
            assert log.get()[1] == 'two!'
            window.type(CTRL_R + 'on' + ENTER)
            assert log.get()[1] == 'one'


def test_the_default_place_of_the_history(tmp_path: Path) -> None:
    env = {'XDG_STATE_HOME': str(tmp_path)}
    with server() as wss:
        with typing_to(wss, env=env) as (window, _, log):
            window.type('not kept' + ENTER)
            log.get()
        assert list(tmp_path.iterdir()) == []
        with typing_to(wss, '--history', env=env) as (window, _, log):
            window.type('kept' + ENTER)
            log.get()
    assert (tmp_path / 'wscat' / 'history').read_text() == 'kept\n'


def test_two_wscats_with_one_history(tmp_path: Path) -> None:
    file = str(tmp_path / 'history')
    with (
        server() as wss,
        server() as other,
        typing_to(wss, '--history', file) as (first, _, log),
        typing_to(other, '--history', file) as (second, _, other_log),
    ):
        first.type('one' + ENTER)
        assert log.get()[1] == 'one'
        second.type('two' + ENTER)
        assert other_log.get()[1] == 'two'
        first.type('three' + ENTER + UP + UP + ENTER)
        assert [log.get()[1] for _ in range(2)] == ['three', 'one']
    assert Path(file).read_text() == 'one\ntwo\nthree\none\n'


def test_a_history_that_can_not_be_kept_is_no_failure(tmp_path: Path) -> None:
    with server() as wss, typing_to(wss, '--history', str(tmp_path), columns=300) as (window, _, log):
        window.until(lambda: 'Is a directory' in ''.join(window.lines()))
        window.type('one' + ENTER)
        assert log.get()[1] == 'one'
        window.type(UP + ENTER)
        assert log.get()[1] == 'one'
        window.type(CTRL_D)
        window.ends()
        assert ''.join(window.lines()).count('error: no history is kept: ') == 1


def test_executing_keeps_no_history(tmp_path: Path) -> None:
    file = tmp_path / 'history'
    options = ('--history', str(file), '-x', 'a', '-w', '0.2')
    with echo_server() as wss, python('-m', 'ws', '-c', url_of(wss), *options) as window:
        window.type('typed' + ENTER)
        window.ends()
    assert not file.exists()


def test_a_passphrase_is_not_in_the_history(tmp_path: Path) -> None:
    file = tmp_path / 'history'
    arguments = ('--history', str(file), '--passphrase')
    with server() as wss, python('-m', 'ws', '-c', url_of(wss), *arguments) as window:
        window.shows('Passphrase:')
        window.type('secret' + ENTER)
        window.shows('Passphrase:', CONNECTED, '>')
        window.type('hello' + ENTER)
        window.shows('Passphrase:', CONNECTED, '> hello', '>')
    assert file.read_text() == 'hello\n'


# -- completing commands -----------------------------------------------------------------------------------------------


def test_tab_completes_slash_commands() -> None:
    with server() as wss, typing_to(wss, '--slash') as (window, _, log):
        window.shows(CONNECTED, '>')
        window.type('/p' + TAB)
        window.shows(CONNECTED, '/ping  /pong', '> /p', cursor=(2, 4))
        window.type('i' + TAB + 'one' + ENTER)
        assert log.get()[:2] == ('ping', b'one')
        window.type('one' + TAB + 'two' + ENTER)
        assert log.get()[1] == 'one\ttwo'
        window.type('/c' + TAB + '4000' + ENTER)
        assert log.get() == ('close', 4000, '')


def test_tab_completes_every_command() -> None:
    """None that there is not, and all that there are."""
    with server() as wss, typing_to(wss, '--slash', '-P') as (window, _, log):
        window.shows(CONNECTED, '>')
        window.type('/' + TAB)
        window.until(lambda: window.lines()[-1] == '> /' and len(window.lines()) == 3)
        commands = window.lines()[1].split()
        assert commands == ['/close', '/ping', '/pong']
        for command in reversed(commands):
            window.type(CTRL_U + command[:3] + TAB + ENTER)
            assert log.get()[0] == command[1:]
        assert 'Unrecognized' not in ''.join(window.lines())


def test_tab_is_a_character_without_slash_commands() -> None:
    with server() as wss, typing_to(wss) as (window, _, log):
        window.type('/p' + TAB + ENTER)
        assert log.get()[1] == '/p\t'


# -- encodings ---------------------------------------------------------------------------------------------------------

NO_TEXT = "error: not sent: it is no text in this terminal's encoding, "


@pytest.mark.parametrize(
    ('env', 'name'),
    [({}, 'utf-8'), ({'LC_ALL': 'C', 'PYTHONIOENCODING': ''}, 'utf-8'), ({'PYTHONIOENCODING': 'ascii'}, 'ascii')],
)
def test_what_is_no_text_is_not_sent(env: dict[str, str], name: str) -> None:
    with server() as wss, typing_to(wss, env=env, columns=90) as (window, _, log):
        window.send(b'a\xe9b')
        window.shows(CONNECTED, '> a\\xe9b', cursor=(1, 8))
        window.type(ENTER)
        window.shows(CONNECTED, '> a\\xe9b', NO_TEXT + name, '>')
        window.type(UP + LEFT + BACKSPACE + ENTER)  # it can be mended
        assert log.get()[1] == 'ab'
        window.type(CTRL_D)
        assert log.get()[0] == 'close'
        window.ends()


def test_a_character_that_is_cut_off_is_not_sent() -> None:
    with server() as wss, typing_to(wss, columns=90) as (window, _, log):
        window.send(b'\xe2\x82' + b'\r')
        window.shows(CONNECTED, '> \\xe2\\x82', NO_TEXT + 'utf-8', '>')
        window.send(b'\xe2')
        window.send(b'\x82\xac\r')
        assert log.get()[1] == '€'


def test_invalid_text_in_a_paste_of_several_lines() -> None:
    with server() as wss, typing_to(wss, columns=90) as (window, _, log):
        window.shows(CONNECTED, '>')
        window.send(b'\x1b[200~one\rtwo\xff\rthree\r\x1b[201~')
        assert [log.get()[1] for _ in range(2)] == ['one', 'three']
        window.shows(CONNECTED, '> one', '> two\\xff', NO_TEXT + 'utf-8', '> three', '>')


def test_what_is_no_text_before_the_connection_is_open() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address, columns=90) as window:
        request = peer.take()
        window.send(b'a\xff\rb\r')
        peer.answer(request)
        assert peer.frame() == (0x81, b'b')
        window.shows(CONNECTED, '> a\\xff', NO_TEXT + 'utf-8', '> b', '>')


@pytest.mark.parametrize('options', [[], ['--raw']])
def test_no_text_on_a_terminal_without_abilities(options: list[str]) -> None:
    with server() as wss, typing_to(wss, *options, env={'TERM': 'dumb'}) as (window, _, log):
        window.send(b'a\xff\rb\r')
        assert log.get()[1].strip() == 'b'
        window.until(lambda: NO_TEXT + 'utf-8' in window.lines())
        window.type(CTRL_D)
        assert log.get()[0] == 'close'
        window.ends()


@pytest.mark.parametrize(('encoding', 'shown'), [('ascii', '\\u20ac\\xfc'), ('iso8859-1', '\\u20ac\xfc')])
def test_what_the_terminal_lacks_is_told_once(encoding: str, shown: str) -> None:
    said = f"(This terminal's encoding is {encoding}; what it lacks is shown like \\u20ac.)"
    with server() as wss, typing_to(wss, env={'PYTHONIOENCODING': encoding}, columns=90) as (window, ws, _):
        ws.send('all right')
        ws.send('€ü')
        ws.send('€')
        window.until(lambda: window.lines()[3:] == [said, '< \\u20ac', '>'])
        assert f'< {shown}'.encode(encoding) in window.output
        assert window.lines()[1] == '< all right'


def test_a_line_from_the_history_that_the_terminal_lacks(tmp_path: Path) -> None:
    (tmp_path / 'history').write_text('5 €\n', encoding='utf-8')
    options = ('--history', str(tmp_path / 'history'))
    with server() as wss, typing_to(wss, *options, env={'PYTHONIOENCODING': 'ascii'}) as (window, ws, log):
        window.type(UP)
        window.shows(CONNECTED, '> 5 \\u20ac', cursor=(1, 10))
        ws.send('incoming')
        window.shows(CONNECTED, '< incoming', '> 5 \\u20ac', cursor=(2, 10))
        window.type(LEFT + 'x')
        window.shows(CONNECTED, '< incoming', '> 5 x\\u20ac', cursor=(2, 5))
        window.type(ENTER)
        assert log.get()[1] == '5 x€'


def test_ctrl_c_in_a_search_ends() -> None:
    with with_a_past() as (window, _, log):
        window.type(CTRL_R + 'hre')
        window.until(lambda: window.lines()[-1] == "(reverse-i-search)`hre': three")
        window.type(CTRL_C)
        assert log.get() == ('close', 1000, '')
        window.ends()
