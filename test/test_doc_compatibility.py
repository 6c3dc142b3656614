"""doc/compatibility.md leaves nothing out: no option, method, attribute or event, no case of the original's suite."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from compatibility.peers import silence
from documents import ROOT, Document
from support import Waiter, end

import ws
from ws import WebSocket, WebSocketServer
from ws.net.guests import Handle
from ws.options import CLIENT_OPTIONS, SERVER_OPTIONS
from ws.protocol.http import MAX_HEAD, MAX_HEADERS

COMPATIBILITY = Document('doc/compatibility.md')

STATES = {'same', '**different**', 'new'}
CASE_STATES = {'same', '**different**', 'not applicable'}
STATES_OF_WS_8 = {'same', 'better', '**different**', 'cannot be'}


def tables() -> Iterator[tuple[str, list[str]]]:
    """Each row of each table, with the heading it stands under."""
    heading = ''
    for line in COMPATIBILITY.path.read_text(encoding='utf-8').splitlines():
        if line.startswith('#'):
            heading = line.lstrip('# ')
        elif line.startswith('| ') and not line.startswith(('| What ', '| No. ', '| --- ')):
            yield heading, [cell.strip() for cell in line.strip('|').split('|')]


TOPICS = [(heading, *row) for heading, row in tables() if not heading.startswith(('Cases: ', 'ws 8: '))]
CASES = [row for heading, row in tables() if heading.startswith('Cases: ')]
OF_WS_8 = [(heading.partition(': ')[2], *row) for heading, row in tables() if heading.startswith('ws 8: ')]


def names(*headings: str) -> set[str]:
    """What the first cells of the tables under headings that begin so are about."""
    found: set[str] = set()
    for heading, what, *_ in TOPICS:
        if heading.startswith(headings):
            found.update(re.findall(r'`(\w+(?:<\w+>)?)', what))
    return found


# -- by topic ---------------------------------------------------------------------------------------------------------


def test_there_is_no_code_that_would_have_to_run() -> None:
    assert not COMPATIBILITY.blocks


def test_every_row_says_how_it_is() -> None:
    assert TOPICS
    for row in TOPICS:
        _, what, state, text = row
        assert what
        assert state in STATES, row
        assert text or state == 'same', row


def test_what_is_different_comes_first_and_what_is_new_last() -> None:
    order = ['**different**', 'same', 'new']
    for heading in {heading for heading, *_ in TOPICS}:
        states = [order.index(row[2]) for row in TOPICS if row[0] == heading]
        assert states == sorted(states), heading


def test_all_options() -> None:
    assert set(CLIENT_OPTIONS) <= names('WebSocket: constructor', 'Limits')
    assert set(SERVER_OPTIONS) <= names('WebSocketServer: constructor', 'Limits')


def public(*objects: Any) -> set[str]:
    """The names of attributes and methods; but not those that the loop calls."""
    return {name for thing in objects for name in dir(thing) if not name.startswith('_')} - set(dir(Handle))


def test_all_methods_and_attributes() -> None:
    wss = WebSocketServer(noServer=True)
    closed = Waiter()
    wss.close(closed)
    closed.get()
    with silence() as url:
        client = WebSocket(url)
        end(client)
    assert public(client) <= names('Process', 'WebSocket: methods')
    assert public(wss) <= names('Process', 'WebSocketServer: methods')


def emitted(module: str) -> set[str]:
    """The events that a module emits."""
    source = (ROOT / 'ws' / module).read_text(encoding='utf-8')
    return set(re.findall(r"_(?:deliver|dispatch)\('(\w+)'", source))


def test_all_events() -> None:
    for module, heading in ('connection.py', 'WebSocket: methods'), ('serving.py', 'WebSocketServer: methods'):
        events = emitted(module)
        assert {'error', 'close'} <= events
        text = ' '.join(row[1] for row in TOPICS if row[0].startswith(heading) and row[1].startswith('event '))
        assert events <= set(re.findall(r'`(\w+)\(', text))


def test_all_exports() -> None:
    assert set(ws.__all__) <= names('What the module exports')


def test_its_figures_are_those_of_the_code() -> None:
    def row(heading: str, name: str) -> str:
        (text,) = (row[3] for row in TOPICS if row[0].startswith(heading) and re.search(f'`{name}`', row[1]))
        return text

    for name in 'handshakeTimeout', 'closeTimeout':
        assert row('WebSocket: constructor', name).startswith(f'{CLIENT_OPTIONS[name]} ms')
        assert row('WebSocketServer: constructor', name).startswith(f'{SERVER_OPTIONS[name]} ms')
    assert row('WebSocketServer: constructor', 'backlog').startswith(str(SERVER_OPTIONS['backlog']))
    for name in 'maxPayload', 'maxFragments':
        assert row('Limits', name).startswith(f'{CLIENT_OPTIONS[name]} ')
        assert CLIENT_OPTIONS[name] == SERVER_OPTIONS[name]
    assert f'{MAX_HEAD} bytes, {MAX_HEADERS} header lines' in [row[3].partition(':')[0] for row in TOPICS]


# -- case by case -----------------------------------------------------------------------------------------------------


def test_all_cases_of_the_original() -> None:
    assert [number for number, *_ in CASES] == [str(number) for number in range(1, 186)]
    for row in CASES:
        _, what, state, text = row
        assert what
        assert state in CASE_STATES, row
        assert text or state == 'same', row


def test_each_case_has_one_test() -> None:
    numbers: Counter[int] = Counter()
    for path in sorted((ROOT / 'test' / 'compatibility').glob('test_*.py')):
        found = re.findall(r'^def (test_\w+)', path.read_text(encoding='utf-8'), re.MULTILINE)
        assert found
        for name in found:
            assert re.match(r'test_\d{3}_', name), f'{path.name}: {name} has no number'
            numbers[int(name[5:8])] += 1
    assert numbers == Counter(int(number) for number, _, state, _ in CASES if state != 'not applicable')


# -- the tests of ws 8 ------------------------------------------------------------------------------------------------

#: Each file of its suite: the letter, and how many tests it has.
FILES = {
    'websocket': ('W', 184),
    'websocket-server': ('S', 60),
    'receiver': ('R', 56),
    'sender': ('N', 21),
    'create-websocket-stream': ('C', 20),
    'event-target': ('E', 25),
    'permessage-deflate': ('P', 35),
    'extension': ('X', 13),
    'subprotocol': ('U', 8),
    'validation': ('V', 5),
    'limiter': ('L', 2),
    'buffer-util': ('B', 1),
    'websocket.integration': ('I', 2),
}
#: How often a test is run, and counted, that stands in a loop over the four states.
RUNS = {'W012': 4, 'W013': 4}
NUMBERS = [f'{letter}{number:03}' for letter, size in FILES.values() for number in range(1, size + 1)]


def transposed() -> list[str]:
    """The numbers that tests of ours are named by. Those without one go beyond ws 8's."""
    numbers = []
    for path in sorted((ROOT / 'test' / 'compatibility' / 'ws8').glob('test_*.py')):
        found = re.findall(r'^def test_([a-z]\d{3})_', path.read_text(encoding='utf-8'), re.MULTILINE)
        assert found, f'{path.name} has nothing of ws 8'
        numbers += [number.upper() for number in found]
    return numbers


def test_the_rows_of_ws_8() -> None:
    """In order, each in the table of its file, and with a reason."""
    numbers = [row[1] for row in OF_WS_8]
    assert numbers == [number for number in NUMBERS if number in numbers]
    for heading, number, what, state, text in OF_WS_8:
        assert number.startswith(FILES[heading][0])
        assert what and text, number
        assert state in STATES_OF_WS_8, number


def test_each_test_of_ws_8_has_one_of_ours_or_cannot_be() -> None:
    ours = transposed()
    assert [number for number, count in Counter(ours).items() if count > 1] == []
    impossible = {number for _, number, _, state, _ in OF_WS_8 if state == 'cannot be'}
    assert impossible.isdisjoint(ours)
    assert sorted([*ours, *impossible]) == sorted(NUMBERS)


def test_how_many_of_ws_8_are_the_same() -> None:
    states = dict.fromkeys(NUMBERS, 'same')
    states.update({number: state for _, number, _, state, _ in OF_WS_8})
    totals: Counter[str] = Counter()
    for number, state in states.items():
        totals[state] += RUNS.get(number, 1)
    text = ' '.join(COMPATIBILITY.path.read_text(encoding='utf-8').split())
    parts = ', '.join(f'{size} of {file} ({letter})' for file, (letter, size) in FILES.items())
    assert f'{len(NUMBERS)} tests: {parts}.' in text
    assert (
        f'these are {sum(totals.values())}, and of them {totals["same"]} are the same here, {totals["better"]} better, '
        f'{totals["**different**"]} different, and {totals["cannot be"]} cannot be.'
    ) in text
    assert totals['same'] + totals['better'] >= 400
