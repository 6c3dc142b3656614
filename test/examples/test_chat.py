"""examples/chat: two people in two browsers, and what the page must bear."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from browser import DevTools, Page
from documents import Child, connect
from redises import redis_server
from support import HANDSHAKE, TIMEOUT, Log, end, read_head

from ws import WebSocket

Start = Callable[..., 'tuple[Child, int]']

# -- in the browser ---------------------------------------------------------------------------------------------------


def enters(browser: DevTools, port: int, name: str, room: str = 'lobby') -> Page:
    page = browser.open(f'http://127.0.0.1:{port}/#{room}')
    page.type('#name', name)
    return page


def present(page: Page, *people: str) -> None:
    page.until(f'[...document.querySelectorAll(".person")].map((person) => person.textContent) == "{",".join(people)}"')


def messages(page: Page) -> Any:
    return page.evaluate('[...document.querySelectorAll(".message .text")].map((text) => text.textContent)')


@pytest.mark.browser
def test_people_in_rooms(start: Start, browser: DevTools) -> None:
    example, port = start('chat/server.py')
    ann, ben = enters(browser, port, 'Ann'), enters(browser, port, 'Ben')
    present(ann, 'Ann', 'Ben')
    present(ben, 'Ann', 'Ben')
    ann.shows('#log', 'Ben has come in')

    ann.type('#text', 'Hello, Ben!')
    ben.shows('#log', 'Hello, Ben!')
    ben.type('#text', '<img src=x onerror="document.title=1"><b>bold</b> ☃')
    for page in ann, ben:
        page.shows('#log', '<b>bold</b> ☃')
    assert messages(ann) == messages(ben) == ['Hello, Ben!', '<img src=x onerror="document.title=1"><b>bold</b> ☃']
    assert ann.evaluate('document.querySelectorAll("#log img, #log b").length') == 0
    assert ann.evaluate('document.querySelectorAll(".mine .text").length') == 1
    assert ann.fits_a_phone()

    # Whoever comes later sees what was said; whoever is in another room doesn't.
    zoe, eve = enters(browser, port, 'Zoë'), enters(browser, port, 'Eve', 'caf%C3%A9')
    present(zoe, 'Ann', 'Ben', 'Zoë')
    present(eve, 'Eve')
    assert (messages(zoe), messages(eve)) == (messages(ann), [])
    assert eve.text('#title') == 'café'

    # A name can be had once, and again when it is free.
    other = enters(browser, port, 'Ben')
    other.shows('#refused', 'Somebody with this name is there already.')
    ben.click('#leave')
    ann.shows('#log', 'Ben has left')
    present(ann, 'Ann', 'Zoë')
    other.type('#name', 'Ben')
    present(ann, 'Ann', 'Zoë', 'Ben')

    # Another room in the address.
    zoe.evaluate('location.hash = "#caf%C3%A9"')
    present(eve, 'Eve', 'Zoë')
    present(ann, 'Ann', 'Ben')
    example.stops(status=0)


@pytest.mark.browser
def test_comes_back_when_the_line_breaks(start: Start, browser: DevTools) -> None:
    example, port = start('chat/server.py')
    ann, ben = enters(browser, port, 'Ann'), enters(browser, port, 'Ben')
    present(ann, 'Ann', 'Ben')
    present(ben, 'Ann', 'Ben')
    ann.type('#text', 'before')
    ben.shows('#log', 'before')

    assert has_colour(ann, *dots(ann))
    assert ann.text('#people-title') == '2 here'
    example.discard()  # without taking leave
    for page in ann, ben:
        page.shows('#state', 'Connection lost, trying again in')
        assert not has_colour(page, *dots(page))
        assert page.text('#people-title') == 'Were here'
        assert page.evaluate('document.querySelector("#send").disabled')
    assert ann.fits_a_phone()
    start('chat/server.py', port=port)
    for page in ann, ben:
        page.shows('#state', 'Connected')
        page.shows('#people-title', '2 here')
        assert has_colour(page, *dots(page))
    ben.type('#text', 'after')
    for page in ann, ben:
        page.shows('#log', 'after')
    assert messages(ann) == messages(ben) == ['before', 'after']

    # Loaded again, the page is where it was.
    ann.evaluate('window.old = true')
    ann.call('Page.reload')
    ann.until('!window.old && document.querySelector("#log")?.innerText.includes("after")')
    present(ben, 'Ben', 'Ann')


def dots(page: Page) -> list[str]:
    """The colours of the dots before people's names, and of that for the line."""
    colours: list[str] = page.evaluate("""
        [...document.querySelectorAll('.person, #state')].map((it) => getComputedStyle(it, '::before').borderTopColor)
    """)
    assert len(colours) > 1
    return colours


#: The red, green and blue of a colour.
RGB = """(colour) => {
  const context = new OffscreenCanvas(1, 1).getContext('2d');
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


def has_colour(page: Page, *colours: str) -> bool:
    """Whether all of them are something else than grey; fails if only some are."""
    rgb = page.evaluate(f'{json.dumps(colours)}.map({RGB})')
    [answer] = {max(parts) - min(parts) > 50 for parts in rgb}
    return answer


@pytest.mark.browser
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_names_have_colours_of_their_own(scheme: str, start: Start, browser: DevTools) -> None:
    page = enters(browser, start('chat/server.py')[1], 'Ann')
    page.prefers(prefers_color_scheme=scheme)
    present(page, 'Ann')
    names = ['Ann', 'Ben', 'Bob', 'Eve', 'Kim', 'Kim2', 'Zoë', '王', 'Mehmet', 'Olga', 'Per', 'Ña']
    page.evaluate(f'receive({{type: "people", people: {json.dumps(names)}}})')
    for name in reversed(names):
        page.evaluate(f'receive({{type: "message", name: "{name}", text: "{name}", time: Date.now()}})')
    assert messages(page) == names[::-1]

    colours = "[...document.querySelectorAll('%s')].map((it) => getComputedStyle(it%s).%s)"
    of_dots = colours % ('.person', ", '::before'", 'backgroundColor')
    people = page.evaluate(of_dots)
    assert people == page.evaluate(colours % ('.from', '', 'color'))[::-1]
    assert len(set(people)) == len(names)

    # Nobody who comes later is without one, and each keeps his, also when the page is loaded again.
    page.evaluate('receive({type: "people", people: ["Thirteenth", "Kim"]})')
    thirteenth, kim = page.evaluate(of_dots)
    assert thirteenth in people
    assert kim == people[names.index('Kim')]
    page.evaluate('window.old = true')
    page.call('Page.reload')
    page.until('!window.old && document.querySelector(".person") !== null')
    page.evaluate('receive({type: "people", people: ["Kim", "Thirteenth"]})')
    assert page.evaluate(of_dots) == [kim, thirteenth]


# -- on a phone -------------------------------------------------------------------------------------------------------

AT_END = 'Math.abs(log.scrollHeight - log.clientHeight - log.scrollTop) < 1'.replace(
    'log', 'document.querySelector("#log")'
)


def talkative(page: Page, number: int = 40) -> None:
    """Much is said."""
    page.shows('#state', 'Connected')
    page.evaluate(f'for (let n = 1; n <= {number}; n++) socket.send(`line ${{n}}`)')
    page.shows('#said', f'line {number}')


def in_sight(page: Page, selector: str, height: int) -> bool:
    """Whether the bottom of an element is above the keyboard."""
    box = page.evaluate(f'document.querySelector("{selector}").getBoundingClientRect().toJSON()')
    return bool(0 <= box['top'] < box['bottom'] <= height)


@pytest.mark.browser
def test_a_keyboard_opens(start: Start, browser: DevTools) -> None:
    page = enters(browser, start('chat/server.py')[1], 'Ann')
    page.on_a_phone()
    talkative(page)
    assert page.evaluate(AT_END)

    page.on_a_phone(height=500)
    assert page.evaluate(AT_END)
    assert in_sight(page, '#said li:last-child', 500)
    assert in_sight(page, '#send', 500)
    page.on_a_phone()
    assert page.evaluate(AT_END)

    # Who reads further up is left there,
    page.evaluate('document.querySelector("#log").scrollTop = 100')
    page.drawn()
    for height in 500, 844:
        page.on_a_phone(height)
        assert page.evaluate('document.querySelector("#log").scrollTop') == 100
    page.type('#text', 'something new')
    page.shows('#said', 'something new')
    assert page.evaluate('document.querySelector("#log").scrollTop') == 100
    # until he comes back to the end.
    page.evaluate('document.querySelector("#log").scrollTop = 1e6')
    page.drawn()
    page.on_a_phone(height=500)
    assert page.evaluate(AT_END)
    # A tap on the button doesn't close the keyboard.
    page.type('#text', 'something else', enter=False)
    page.tap('#send')
    page.shows('#said', 'something else')
    assert page.evaluate('document.activeElement.id') == 'text'


#: As iPhones tell it: the page is as high as before, and has been scrolled behind its window.
LAID_OVER = """(height, above) => {
  const now = (value) => ({value, configurable: true});
  Object.defineProperties(visualViewport, {height: now(height), offsetTop: now(above)});
  visualViewport.dispatchEvent(new Event('resize'));
}"""


@pytest.mark.browser
def test_a_keyboard_lies_over_the_page(start: Start, browser: DevTools) -> None:
    page = enters(browser, start('chat/server.py')[1], 'Ann')
    page.on_a_phone()
    talkative(page)
    # Somebody says something in the same moment.
    page.evaluate(f'receive({{type: "message", name: "Ben", text: "now", time: Date.now()}}); ({LAID_OVER})(420, 60)')
    page.drawn()
    assert page.evaluate('document.querySelector("header").getBoundingClientRect().top') == 60
    assert page.evaluate('document.querySelector("#say").getBoundingClientRect().bottom') == 480
    assert page.evaluate(AT_END)
    page.evaluate(f'({LAID_OVER})(844, 0)')
    page.drawn()
    assert page.evaluate('document.querySelector("#say").getBoundingClientRect().bottom') == 844
    assert page.evaluate(AT_END)


@pytest.mark.browser
def test_a_closer_look_changes_nothing(start: Start, browser: DevTools) -> None:
    page = enters(browser, start('chat/server.py')[1], 'Ann')
    page.on_a_phone()
    page.call('Emulation.setPageScaleFactor', pageScaleFactor=2)
    page.until('visualViewport.scale === 2')
    page.drawn()
    assert page.evaluate('document.querySelector("#chat").getBoundingClientRect().height') == 844


@pytest.mark.browser
@pytest.mark.parametrize('phone', [True, False])
def test_the_list_of_people_shows_that_it_scrolls(phone: bool, start: Start, browser: DevTools) -> None:
    """To the right above the log, and down beside it."""
    page = enters(browser, start('chat/server.py')[1], 'Ann')
    if phone:
        page.on_a_phone()
    present(page, 'Ann')

    def fades() -> Any:
        page.drawn()
        return page.evaluate(
            "['before', 'after'].map((end) => document.querySelector('#people').matches(`.more-${end}`))"
        )

    def mask() -> Any:
        return page.evaluate("getComputedStyle(document.querySelector('#people')).maskImage")

    assert (fades(), page.evaluate("document.querySelector('#people').tabIndex")) == ([False, False], -1)
    whole = mask()
    people = json.dumps([f'Person {number}' for number in range(60)])
    page.evaluate(f'receive({{type: "people", people: {people}}})')
    assert fades() == [False, True]
    assert mask() != whole
    assert page.evaluate("document.querySelector('#people').tabIndex") == 0
    for ends, way in ([True, True], 200), ([True, False], 1e6), ([False, True], -1e6):
        page.evaluate(f"document.querySelector('#people').scrollBy({way}, {way})")
        assert fades() == ends
    page.evaluate('receive({type: "people", people: ["Ann"]})')
    assert fades() == [False, False]


# -- its server -------------------------------------------------------------------------------------------------------


def address(name: str, room: str = 'lobby', **query: str) -> str:
    return f'/{quote(room)}?{urlencode({"name": name, **query})}'


def told(log: Log) -> Any:
    event, *arguments = log.get()
    while event == 'ping':
        event, *arguments = log.get()
    assert event == 'message', (event, arguments)
    return json.loads(arguments[0])


def enter(port: int, name: str, **query: str) -> tuple[WebSocket, Log]:
    ws, log = connect(port, address(name, **query))
    log.until('open')
    assert told(log)['type'] == 'history'
    assert name in told(log)['people']
    return ws, log


@pytest.mark.parametrize(
    'path',
    [
        *['/', '/lobby', '/lobby?name=', '/lobby?name=%20', '/?name=Ann'],
        *[address('x' * 25), address('Ann', 'x' * 25), address('A\0nn'), address('Ann\u202e')],
    ],
)
def test_names_are_bounded(path: str, start: Start) -> None:
    _, port = start('chat/server.py')
    _, log = connect(port, path)
    assert log.until('close')[-1] == ('close', 4000, 'Names have 1 to 24 printable characters.')


def test_a_name_is_given_back_to_who_has_its_key(start: Start) -> None:
    _, port = start('chat/server.py')
    witness, log = enter(port, 'Witness')
    _, lost = enter(port, 'Ann', key='secret')
    assert told(log)['came'] == 'Ann'
    for query in {}, {'key': ''}, {'key': 'guessed'}:
        _, refused = connect(port, address('Ann', **query))
        assert refused.until('close')[-1] == ('close', 4000, 'Somebody with this name is there already.')
    again, _ = enter(port, 'Ann', key='secret')
    assert lost.until('close')[-1][:2] == ('close', 1006)
    assert told(log) == {'type': 'people', 'people': ['Witness', 'Ann'], 'came': None}
    again.send('still here')
    assert told(log)['text'] == 'still here'
    for ws in witness, again:
        end(ws)


def test_who_comes_back_before_the_old_line_is_gone_comes_last_for_all(start: Start) -> None:
    _, port = start('chat/server.py')
    _, lost = enter(port, 'Ann', key='secret')
    ben, ben_hears = enter(port, 'Ben')
    again, again_hears = visit(port, 'Ann', key='secret')
    for log in ben_hears, again_hears:
        until_people(log, 'Ben', 'Ann')
    assert lost.until('close')[-1][1] == 1006
    for ws in again, ben:
        end(ws)


def test_what_is_said_is_bounded_and_kept(start: Start) -> None:
    _, port = start('chat/server.py')
    ann, log = enter(port, 'Ann')
    ann.send('x' * 2000)
    assert told(log)['text'] == 'x' * 1000
    ann.send('  \n')
    for number in range(60):
        ann.send(f'number {number}')
    said = [told(log) for _ in range(60)]
    assert [message['text'] for message in said] == [f'number {number}' for number in range(60)]
    times = [message['time'] for message in said]
    assert times == sorted(set(times))
    ben, log = connect(port, address('Ben'))
    log.until('open')
    assert told(log)['messages'] == said[-50:]
    ben.send(b'binary')
    assert log.until('close')[-1] == ('close', 1003, 'Only text, please.')
    end(ann)


def test_who_does_not_answer_is_gone(start: Start, tmp_path: Path) -> None:
    """Half a minute is long for a test: the copy that runs asks more often."""
    example = Path(__file__).parents[2] / 'examples' / 'chat'
    shutil.copytree(example, tmp_path / 'chat')
    text = (example / 'server.py').read_text(encoding='utf-8')
    assert 'HEARTBEAT = 30_000  # milliseconds' in text
    (tmp_path / 'chat' / 'server.py').write_text(text.replace('30_000', '1500'), encoding='utf-8')
    _, port = start(tmp_path / 'chat' / 'server.py')
    witness, log = enter(port, 'Witness')
    with socket.create_connection(('127.0.0.1', port), timeout=TIMEOUT) as mute:
        mute.sendall(HANDSHAKE % address('Mute').encode())
        assert read_head(mute).startswith(b'HTTP/1.1 101 ')
        assert told(log)['came'] == 'Mute'
        assert told(log) == {'type': 'people', 'people': ['Witness'], 'left': 'Mute'}
    assert witness.readyState == witness.OPEN
    end(witness)


def test_other_pages_are_kept_out(start: Start) -> None:
    example, port = start('chat/server.py')
    _, log = connect(port, address('Eve'), origin='http://elsewhere.example')
    assert str(log.get()[1]) == 'unexpected server response (401)'
    log.until('close')
    _, log = connect(port, address('Ann'), origin=f'http://127.0.0.1:{port}')
    log.until('open')
    example.signal(signal.SIGINT)
    assert log.until('close')[-1] == ('close', 1001, '')
    example.ends(status=0)


# -- several servers --------------------------------------------------------------------------------------------------


def hears(log: Log, kind: str) -> Any:
    """The next thing of that kind it is told."""
    while True:
        what = told(log)
        if what['type'] == kind:
            return what


def visit(port: int, name: str, **query: str) -> tuple[WebSocket, Log]:
    ws, log = connect(port, address(name, **query))
    log.until('open')
    return ws, log


def until_people(log: Log, *names: str) -> Any:
    while True:
        what = hears(log, 'people')
        if what['people'] == list(names):
            return what


def test_servers_with_a_redis_have_the_same_rooms(start: Start, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        here, there = (start('chat/server.py', '--redis', redis.url)[1] for _ in range(2))
        ann, ann_hears = visit(here, 'Ann')
        until_people(ann_hears, 'Ann')
        ann.send('is anybody there?')
        assert hears(ann_hears, 'message')['text'] == 'is anybody there?'
        ben, ben_hears = visit(there, 'Ben', key='secret')
        assert [message['text'] for message in hears(ben_hears, 'history')['messages']] == ['is anybody there?']
        until_people(ben_hears, 'Ann', 'Ben')
        assert until_people(ann_hears, 'Ann', 'Ben')['came'] == 'Ben'
        ben.send('I am')
        assert hears(ann_hears, 'message')['text'] == hears(ben_hears, 'message')['text'] == 'I am'

        # A name can be had once, wherever; and who has its key can have it again, wherever.
        _, refused = visit(there, 'Ann')
        assert refused.until('close')[-1] == ('close', 4000, 'Somebody with this name is there already.')
        again, again_hears = visit(here, 'Ben', key='secret')
        until_people(again_hears, 'Ann', 'Ben')
        assert ben_hears.until('close')[-1][1] == 1006
        again.send('here, now')
        assert hears(ann_hears, 'message') == hears(again_hears, 'message')

        # The last one there has gone: who comes there is not known to be called like somebody before others are heard.
        _, late = visit(there, 'Ann')
        assert late.until('close')[-1] == ('close', 4000, 'Somebody with this name is there already.')
        end(again)
        assert until_people(ann_hears, 'Ann')['left'] == 'Ben'
        end(ann)
