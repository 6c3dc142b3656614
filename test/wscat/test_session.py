"""wscat as its users meet it: in a terminal, typing and reading the screen, and in a pipe."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

import pytest
from support import Log, echo_server, server, url_of
from terminals import CONNECTED, RawServer, typing_to
from window import CTRL_A, CTRL_C, CTRL_D, CTRL_K, CTRL_Z, DOWN, ENTER, LEFT, UP, Window, python

from ws import WebSocket


def test_a_conversation() -> None:
    with echo_server() as wss, typing_to(wss) as (window, _, _):
        window.shows(CONNECTED, '>', cursor=(1, 2))
        window.type('hello' + ENTER)
        window.shows(CONNECTED, '> hello', '< hello', '>', cursor=(3, 2))
        window.type('¡Hola, 日本! 👋' + ENTER)
        window.until(lambda: window.lines()[-2:] == ['< ¡Hola, 日本! 👋', '>'])
        assert [window.colour(row) for row in (0, 1, 2)] == ['green', 'default', 'blue']


def test_what_is_being_typed_survives_what_comes_in() -> None:
    with server() as wss, typing_to(wss) as (window, ws, log):
        window.type('hel world' + 5 * LEFT + LEFT)
        window.shows(CONNECTED, '> hel world', cursor=(1, 5))
        ws.send('one\ntwo')
        window.shows(CONNECTED, '< one', '  two', '> hel world', cursor=(3, 5))
        window.type('lo,')
        window.shows(CONNECTED, '< one', '  two', '> hello, world', cursor=(3, 8))
        ws.send('three')
        window.type(ENTER)
        assert log.get()[:2] == ('message', 'hello, world')
        window.until(lambda: sorted(window.lines()[3:5]) == ['< three', '> hello, world'])


def test_a_line_longer_than_the_window_survives_what_comes_in() -> None:
    with server() as wss, typing_to(wss, columns=20) as (window, ws, log):
        window.until(lambda: window.lines()[-1] == '>')
        first = window.lines()
        window.type('0123456789' * 5)
        typed = ['> 012345678901234567', '89012345678901234567', '890123456789']
        window.shows(*first[:-1], *typed, cursor=(len(first) + 1, 12))
        ws.send('incoming')
        window.shows(*first[:-1], '< incoming', *typed, cursor=(len(first) + 2, 12))
        window.type(8 * '.')  # to the end of the row
        window.shows(*first[:-1], '< incoming', *typed[:2], typed[2] + 8 * '.', cursor=(len(first) + 3, 0))
        ws.send('again')
        window.type(CTRL_A)
        window.shows(*first[:-1], '< incoming', '< again', *typed[:2], typed[2] + 8 * '.', cursor=(len(first) + 1, 2))
        window.type(ENTER)
        assert log.get()[:2] == ('message', '0123456789' * 5 + 8 * '.')


def test_the_window_may_change_its_size() -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        window.type('0123456789')
        window.shows(CONNECTED, '> 0123456789')
        window.resize(100, 24)
        window.type(40 * '.')
        ws.send('incoming')
        window.shows(CONNECTED, '< incoming', '> 0123456789' + 40 * '.')


def test_history_survives_what_comes_in() -> None:
    with server() as wss, typing_to(wss) as (window, ws, log):
        for line in ('one', 'two', 'two'):
            window.type(line + ENTER)
            assert log.get()[1] == line
        window.type('new' + UP + UP)
        window.until(lambda: window.lines()[-1] == '> one')
        ws.send('incoming')
        window.until(lambda: window.lines()[-2:] == ['< incoming', '> one'])
        window.type(DOWN)
        window.until(lambda: window.lines()[-1] == '> two')
        window.type(DOWN)
        window.until(lambda: window.lines()[-1] == '> new')
        window.type(UP + CTRL_A + CTRL_K + 'three' + ENTER)
        assert log.get()[1] == 'three'


def test_what_is_typed_before_the_connection_is_open_is_kept() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        request = peer.take()
        window.type('early' + ENTER + 'later')
        peer.answer(request)
        assert peer.frame() == (0x81, b'early')
        window.shows(CONNECTED, '> early', '> later')


def test_control_characters_are_shown_and_not_obeyed() -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        ws.send('\x1b[2J\x1b]0;title\x07\rA\tB\x7f\x9b31m\u202eC\u2028D\0')
        window.shows(CONNECTED, '< \\x1b[2J\\x1b]0;title\\x07\\rA    B\\x7f\\x9b31m\\u202eC\\u2028D\\x00', '>')
        assert b'\x1b[2J\x1b]0' not in window.output
        ws.close(4000, 'bye\x1b[2J\n')
        window.shows(
            CONNECTED,
            '< \\x1b[2J\\x1b]0;title\\x07\\rA    B\\x7f\\x9b31m\\u202eC\\u2028D\\x00',
            'Disconnected (code: 4000, reason: "bye\\x1b[2J\\n")',
        )
        window.ends(1)


def test_binary_messages_are_shown_in_hexadecimal_digits() -> None:
    with server() as wss, typing_to(wss, columns=80) as (window, ws, _):
        ws.send(b'\x00\x01\x1b[2Jhello, world!\xff')
        ws.send(bytes(1025))
        window.until(lambda: window.lines()[-2:] == ['  and 1 byte more', '>'])
        lines = window.lines()
        assert lines[-2] == '  and 1 byte more'
        assert lines[-3] == '  03f0  ' + 16 * '00 ' + ' ' + 16 * '.'
    with server() as wss, typing_to(wss, columns=80) as (window, ws, _):
        ws.send(b'\x00\x01\x1b[2Jhello, world!\xff')
        window.shows(
            CONNECTED,
            '< binary, 20 bytes:',
            '  0000  00 01 1b 5b 32 4a 68 65 6c 6c 6f 2c 20 77 6f 72  ...[2Jhello, wor',
            '  0010  6c 64 21 ff                                      ld!.',
            '>',
        )


def test_typing_binary_messages() -> None:
    with server() as wss, typing_to(wss, '--binary') as (window, _, log):
        window.type('é' + ENTER)
        assert log.get()[:2] == ('message', 'é'.encode())


def test_colours_can_be_turned_off() -> None:
    for options, env in ((['--no-color'], {}), ([], {'NO_COLOR': '1'})):
        with server() as wss, typing_to(wss, *options, env=env) as (window, ws, _):
            ws.send('incoming')
            window.shows(CONNECTED, '< incoming', '>')
            assert b'\x1b[3' not in window.output


@pytest.mark.parametrize(('encoding', 'typed', 'shown'), [('ascii', 'a', '\\u20ac\\xfc'), ('latin-1', 'ü', '\\u20acü')])
def test_terminals_of_other_encodings(encoding: str, typed: str, shown: str) -> None:
    with server() as wss, typing_to(wss, env={'PYTHONIOENCODING': encoding}) as (window, ws, log):
        window.type(typed + ENTER, encoding)
        assert log.get()[1] == typed
        ws.send('€ü')
        window.until(lambda: f'< {shown}'.encode(encoding) in window.output)


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('key', [CTRL_C, CTRL_D])
def test_ctrl_c_and_ctrl_d_close_the_connection(key: str) -> None:
    with server() as wss, typing_to(wss) as (window, _, log):
        window.shows(CONNECTED, '>')
        window.type(key)
        assert log.get() == ('close', 1000, '')
        window.shows(CONNECTED, 'Disconnected (code: 1000, reason: "")')
        window.ends()


def test_ctrl_d_in_a_line_deletes() -> None:
    with server() as wss, typing_to(wss) as (window, _, log):
        window.type('abc' + CTRL_A + CTRL_D + ENTER)
        assert log.get()[1] == 'bc'


def test_ctrl_c_does_not_wait_long_for_the_peer() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.answer(peer.take())
        window.shows(CONNECTED, '>')
        started = time.monotonic()
        window.type(CTRL_C)
        assert peer.frame() == (0x88, b'\x03\xe8')
        window.ends()
        assert 1 < time.monotonic() - started < 10


def test_a_second_ctrl_c_does_not_wait() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.answer(peer.take())
        window.shows(CONNECTED, '>')
        window.type('half' + CTRL_C)
        assert peer.frame() == (0x88, b'\x03\xe8')
        window.type(CTRL_C)
        window.ends(-signal.SIGINT)
        window.shows(CONNECTED)


@pytest.mark.parametrize(('key', 'status'), [(CTRL_C, -signal.SIGINT), (CTRL_D, 0)])
def test_giving_up_before_the_connection_is_open(key: str, status: int) -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.take()
        window.type(key)
        window.ends(status)
        window.shows('')


@pytest.mark.parametrize(('code', 'status'), [(1000, 0), (1001, 0), (1011, 1), (3000, 1), (4999, 1)])
def test_when_the_peer_closes(code: int, status: int) -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        window.shows(CONNECTED, '>')
        ws.close(code, 'because')
        window.shows(CONNECTED, f'Disconnected (code: {code}, reason: "because")')
        window.ends(status)


def test_when_the_peer_closes_without_a_code() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.answer(peer.take(), b'\x88\0')
        assert peer.frame() == (0x88, b'')
        window.shows(CONNECTED, 'Disconnected (code: 1005, reason: "")')
        peer.__exit__()
        window.ends()


def test_when_the_connection_breaks() -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        window.shows(CONNECTED, '>')
        ws.terminate()
        window.shows(CONNECTED, 'Disconnected (code: 1006, reason: "")')
        window.ends(1)


def test_when_the_peer_breaks_the_protocol() -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        window.shows(CONNECTED, '>')
        ws._loop.call(ws._stream.write, b'\xff\xff')
        window.shows(CONNECTED, 'error: reserved fields must be empty', 'Disconnected (code: 1006, reason: "")')
        assert window.colour(1) == 'brown'  # that is yellow
        window.ends(1)


def test_ctrl_z_gives_the_terminal_back() -> None:
    with server() as wss, typing_to(wss) as (window, ws, log):
        window.type('half')
        window.shows(CONNECTED, '> half')
        window.type(CTRL_Z)
        window.stopped()
        window.shows(CONNECTED)
        ws.send('meanwhile')
        window.goes_on()
        window.shows(CONNECTED, '< meanwhile', '> half')
        window.type(' and half' + ENTER)
        assert log.get()[1] == 'half and half'


# -- what can be typed -------------------------------------------------------------------------------------------------


def test_slash_commands() -> None:
    with server() as wss, typing_to(wss, '--slash', '-P') as (window, ws, log):
        window.type('/ping one two' + ENTER)
        assert log.get()[:2] == ('ping', b'one two')
        window.shows(CONNECTED, '> /ping one two', '< Received pong (data: "one two")', '>')
        window.type('/pong' + ENTER)
        assert log.get()[:2] == ('pong', b'')
        ws.ping('x\x1b')
        window.until(lambda: window.lines()[-2:] == ['< Received ping (data: "x\\x1b")', '>'])
        assert log.get()[:2] == ('pong', b'x\x1b')
        for line, complaint in (
            ('/nonsense', 'Unrecognized slash command.'),
            ('/close 999', '999 is no close code that may be sent'),
            ('/close ' + 6000 * '9', 'is no close code that may be sent'),
            ('/close soon', "'soon' is no close code"),
            ('/close 1000 ' + 124 * 'x', 'The message must not be greater than 123 bytes'),
            ('/ping ' + 126 * 'x', 'The data size must not be greater than 125 bytes'),
        ):
            window.type(line + ENTER)
            window.until(lambda: complaint in ''.join(window.lines()), lambda: str(window.lines()))  # noqa: B023
        window.type('no command' + ENTER)
        assert log.get()[:2] == ('message', 'no command')
        window.type('/close 4000 so long' + ENTER)
        assert log.get() == ('close', 4000, 'so long')
        window.until(lambda: window.lines()[-1] == 'Disconnected (code: 4000, reason: "so long")')
        window.ends()


def test_a_slash_is_a_character_like_others() -> None:
    with server() as wss, typing_to(wss) as (window, _, log):
        window.type('/close' + ENTER)
        assert log.get()[:2] == ('message', '/close')


def test_json_is_typed_in_several_lines_and_laid_out() -> None:
    with echo_server() as wss, typing_to(wss, '--json') as (window, _, log):
        window.type('{"a":' + ENTER + ENTER + '[1, "]ü"]}' + ENTER)
        assert log.get()[1] == '{"a":\n\n[1, "]ü"]}'
        answer = ['< {', '    "a": [', '      1,', '      "]ü"', '    ]', '  }']
        window.shows(CONNECTED, '> {"a":', '.', '. [1, "]ü"]}', *answer, '>')
        window.type(ENTER + '[1,]' + ENTER)
        window.until(lambda: 'error: not JSON: ' in '\n'.join(window.lines()[-3:]) and window.lines()[-1] == '>')
        window.type('"no longer [1"' + ENTER)
        assert log.get()[1] == '"no longer [1"'


def test_a_terminal_without_abilities() -> None:
    with server() as wss, typing_to(wss, env={'TERM': 'dumb'}) as (window, ws, log):
        window.shows(CONNECTED)
        window.type('hello' + ENTER)
        assert log.get()[1] == 'hello'
        ws.send('a\x1b')
        window.shows(CONNECTED, 'hello', '< a\\x1b')
        assert b'\x1b' not in window.output
        window.type(CTRL_D)
        assert log.get() == ('close', 1000, '')
        window.ends()


def test_without_termios() -> None:
    """As on Windows."""
    program = "import sys; sys.modules['termios'] = None; from ws.wscat import main; sys.exit(main())"
    with echo_server() as wss, python('-c', program, '-c', url_of(wss)) as window:
        window.shows(CONNECTED)
        window.type('hello' + ENTER)
        window.shows(CONNECTED, 'hello', '< hello')
        window.type(CTRL_D)
        window.ends()


def test_raw_on_a_terminal() -> None:
    with server() as wss, typing_to(wss, '--raw') as (window, ws, log):
        window.type('hello' + ENTER)
        assert log.get()[1] == 'hello\n'
        ws.send('a\x1b[1mb')
        ws.send(b'c')
        window.until(lambda: window.output == b'hello\r\na\x1b[1mbc')
        window.type(CTRL_D)
        assert log.get() == ('close', 1000, '')
        window.ends()


# -- listening ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(*options: str) -> Iterator[tuple[Window, str]]:
    """wscat in a window, listening; the URL of it."""
    with python('-m', 'ws', '-l', '0', *options) as window:
        window.until(lambda: window.lines()[0].startswith('Listening on port '))
        port = window.lines()[0].split()[3]
        window.shows(f'Listening on port {port} (press CTRL+C to quit)')
        yield window, f'ws://127.0.0.1:{port}'


def test_listening() -> None:
    with listening() as (window, url):
        first = window.lines()[0]
        client = WebSocket(url)
        log = Log(client)
        log.until('open')
        window.shows(first, 'Client connected', '>')
        client.send('hello')
        window.shows(first, 'Client connected', '< hello', '>')
        window.type('hello, too' + ENTER)
        assert log.get()[:2] == ('message', 'hello, too')

        second = Log(WebSocket(url))
        assert second.until('close')[-1] == ('close', 1013, 'wscat talks to one client at a time')

        client.close(3000, 'bye')
        said = [first, 'Client connected', '< hello', '> hello, too', 'Disconnected (code: 3000, reason: "bye")']
        window.shows(*said)

        third = Log(WebSocket(url))
        third.until('open')
        window.shows(*said, 'Client connected', '>')
        window.type(CTRL_D)
        assert third.get() == ('close', 1000, '')
        window.ends()


def test_listening_goes_on_when_a_client_breaks_the_protocol() -> None:
    with listening() as (window, url):
        client = WebSocket(url)
        client.on('open', lambda: client._socket.write(b'\xff\xff'))
        log = Log(client)
        assert log.until('close')[-1] == ('close', 1002, '')
        window.until(lambda: window.lines()[-1] == 'Disconnected (code: 1006, reason: "")')
        assert 'error: reserved fields must be empty' in window.lines()
        window.type(CTRL_C)
        window.ends()


@pytest.mark.parametrize('key', [CTRL_C, CTRL_D])
def test_listening_without_a_client_ends(key: str) -> None:
    with listening() as (window, _):
        window.type(key)
        window.ends()
