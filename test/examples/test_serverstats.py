"""examples/serverstats and examples/serverstats-flask: the page draws what its server measures."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest
from browser import DevTools
from documents import Child, connect

Start = Callable[..., 'tuple[Child, int]']

#: Each rate stands there for a second; whoever asks now and then may miss it.
HIGHEST_RATE = """
window.highestRate = 0, new MutationObserver(([change]) => {
    highestRate = Math.max(highestRate, parseInt(change.target.textContent.replace(',', '')));
}).observe(document.querySelector('#rate'), {childList: true})
"""

both = pytest.mark.parametrize('script', ['serverstats/server.py', 'serverstats-flask/server.py'])


@pytest.mark.browser
@both
def test_page(script: str, start: Start, browser: DevTools) -> None:
    example, port = start(script)
    page = browser.open(f'http://127.0.0.1:{port}')
    page.shows('#state', 'Live')
    page.shows('#connections', '1 connection')
    assert 5 < float(page.text('#memory')) < 500

    # Two samples make a curve, of as many points as there are samples.
    page.until("(document.querySelector('#memory-chart .curve')?.getAttribute('d').match(/L/g) ?? []).length >= 1")
    assert page.evaluate("document.querySelector('#memory-chart').textContent.includes('MiB')")

    page.evaluate(HIGHEST_RATE)
    page.click('#send')
    page.until("document.querySelector('#messages').textContent === '1,000'")
    page.until('highestRate > 100')
    # The curve rises from the axis to the upper half of the chart.
    page.until(
        "document.querySelector('#rate-chart .curve').getBBox().height"
        " > document.querySelector('#rate-chart').getBoundingClientRect().height / 2"
    )

    other = browser.open(f'http://127.0.0.1:{port}')
    other.shows('#messages', '1,000')
    page.shows('#connections', '2 connections')
    other.call('Page.close')
    page.shows('#connections', '1 connection')
    assert page.fits_a_phone()

    # The server stops, and starts again. Meanwhile the curves are grey.
    colours = """['stroke', 'fill'].map((what) => {
        return getComputedStyle(document.querySelector(`#rate-chart .${{stroke: 'curve', fill: 'now'}[what]}`))[what];
    })"""
    live = page.evaluate(colours)
    example.stops(status=0)
    page.shows('#state', 'trying again in')
    assert page.evaluate(colours) != live
    assert page.evaluate("document.querySelector('#send').disabled")
    start(script, port=port)
    page.shows('#state', 'Live')
    page.until("document.querySelector('#messages').textContent === '0'")
    page.until("document.querySelector('#rate-chart .curve') !== null")
    assert page.evaluate(colours) == live


@pytest.mark.browser
def test_where_the_system_does_not_tell_the_memory(start: Start, browser: DevTools) -> None:
    page = browser.open(f'http://127.0.0.1:{start("serverstats/server.py")[1]}')
    page.shows('#state', 'Live')
    page.evaluate('show({time: 1, memory: null, messages: 0, connections: 1})')
    page.shows('#memory-note', 'This system does not tell it.')


def measured(answer: dict[str, Any]) -> tuple[int, int]:
    assert answer['memory'] is None or answer['memory'] > 2**20
    assert answer['time'] > 0
    return answer['messages'], answer['connections']


@both
def test_pushes_once_a_second_and_counts(script: str, start: Start) -> None:
    example, port = start(script)
    ws, log = connect(port)
    log.until('open')
    first = json.loads(log.get()[1])
    assert measured(first) == (0, 1)
    for _ in range(3):
        ws.send('count me')
    second = json.loads(log.get()[1])
    assert measured(second) == (3, 1)
    assert 0.9 < second['time'] - first['time'] < 5
    example.signal(signal.SIGINT)
    log.until('close')
    example.ends(status=0)


def test_flask_answers_at_the_same_port(start: Start) -> None:
    _, port = start('serverstats-flask/server.py')
    ws, log = connect(port)
    log.until('message')
    ws.send('count me')
    log.until('message')
    with urlopen(f'http://127.0.0.1:{port}/stats.json') as answer:
        assert measured(json.load(answer)) == (1, 1)
    ws.terminate()
