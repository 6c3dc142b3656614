"""The pages of the examples for everybody: in light and in dark, without a mouse, without eyes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser import DevTools, Page
from documents import Child

Start = Callable[..., 'tuple[Child, int]']


def chat(page: Page) -> None:
    page.type('#name', 'Ann')
    page.shows('#people', 'Ann')
    people = json.dumps(['Ann', 'Ben', *(f'Somebody {number}' for number in range(20))])
    page.evaluate(f'receive({{type: "people", people: {people}, came: "Ben"}})')
    # In each colour there is, as what others have said, and as one's own.
    page.evaluate("""for (let number = 0; number < 24; number++) {
        me = number % 2 ? 'Ann' : `Somebody ${number >> 1}`;
        receive({type: 'message', name: `Somebody ${number >> 1}`, text: 'said', time: Date.now()});
    }""")
    assert page.evaluate('document.querySelectorAll(".mine").length') == 12


def chat_door(page: Page) -> None:
    page.evaluate('document.querySelector("#refused").textContent = "No."')


def fileapi(page: Page) -> None:
    page.shows('#state', 'Connected')
    page.evaluate('add([{file: new File(["x"], "a.txt"), path: "a.txt"}, {file: new File(["x"], "b"), path: "../b"}])')
    page.shows('#list', 'Refused')


def serverstats(page: Page) -> None:
    page.shows('#connections', '1 connection')
    page.until('document.querySelector("#rate-chart .curve") !== null')


PAGES = {'chat': chat, 'chat-door': chat_door, 'fileapi': fileapi, 'serverstats': serverstats}

#: What can be read, with a contrast (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio) that is too low.
PALE = """() => {
  const context = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const seen = (colours) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colours = [];
    for (let it = element; it; it = it.parentElement) colours.unshift(getComputedStyle(it).backgroundColor);
    return colours;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility() || element.matches('script, :disabled, .unseen')) continue;
    const colours = behind(element);
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [low, high] = [seen(colours), seen([...colours, ink])].map(luminance).sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    found.push([contrast, text.data.trim()]);
  }
  return [found.length, found.filter(([contrast]) => contrast < 4.5)];
}"""

#: What has the focus, and whether that is to be seen.
FOCUS = """(() => {
  const it = document.activeElement;
  if (it === document.body) return null;
  const shown = [it, it.parentElement].some((one) => getComputedStyle(one).outlineStyle !== 'none');
  return [it.id || it.textContent.trim(), shown];
})()"""

#: What can be reached without a mouse, in order.
STOPS = {
    'chat': ['leave', 'people', 'log', 'text', 'send'],
    'chat-door': ['name', 'room', 'Enter'],
    'fileapi': ['files', 'folder'],
    'serverstats': ['send'],
}


@pytest.mark.browser
@pytest.mark.parametrize('name', PAGES)
def test_for_everybody(name: str, start: Start, browser: DevTools, tmp_path: Path) -> None:
    folder = ['--folder', tmp_path] if name == 'fileapi' else []
    port = start(f'{name.partition("-")[0]}/server.py', *folder)[1]
    page = browser.open(f'http://127.0.0.1:{port}')
    PAGES[name](page)
    for scheme in 'light', 'dark':
        page.prefers(prefers_color_scheme=scheme, prefers_reduced_motion='reduce')
        page.drawn()
        number, pale = page.evaluate(f'({PALE})()')
        assert number > 3
        assert not pale, scheme
    assert page.evaluate('document.getAnimations().length') == 0
    check_keyboard(page, STOPS[name])
    check_names(page)
    hosts = {urlsplit(url).netloc for url in page.evaluate('performance.getEntries().map((it) => it.name)')}
    assert hosts - {''} == {f'127.0.0.1:{port}'}


def check_keyboard(page: Page, stops: list[str]) -> None:
    """Tab comes to everything, and shows where it is."""
    page.evaluate('document.body.tabIndex = -1; document.body.focus()')
    found: list[Any] = []
    for _ in range(len(stops)):
        page.press_tab()
        found.append(page.evaluate(FOCUS))
    assert found == [[stop, True] for stop in stops]


def check_names(page: Page) -> None:
    """All that one can use says what it is, and so does each region. What changes all the time is not read aloud."""
    nodes = page.call('Accessibility.getFullAXTree')['nodes']
    named = {'button', 'textbox', 'region', 'complementary', 'log', 'progressbar', 'progress', 'image', 'img', 'list'}
    seen = [node for node in nodes if not node['ignored'] and node['role']['value'] in named]
    assert seen
    unnamed = [node['role']['value'] for node in seen if not node.get('name', {}).get('value')]
    assert [role for role in unnamed if role != 'list'] == []
    loud = 'output, [aria-live], [role=status], [role=alert], [role=log]'
    live = page.evaluate(f'[...document.querySelectorAll("{loud}")].map((it) => it.id)')
    assert set(live) <= {'state', 'refused', 'log', 'ended'}
