"""The pictures in the documents show what the examples look like. `make pictures` takes them anew."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pictures
import pytest
from browser import DevTools, Page
from documents import ROOT, Child, child
from window import CTRL_C, ENTER, Window, python

Start = Callable[..., 'tuple[Child, int]']

WIDE = 960  # pixels
PHONE = (412, 915)

# -- what is on them --------------------------------------------------------------------------------------------------


class Scene:
    """Who sets up what is on a picture."""

    def __init__(self, start: Start, browser: DevTools, folder: Path) -> None:
        self.start = start
        self.browser = browser
        self.folder = folder

    def open(self, script: str, *arguments: object, address: str = '', height: int = 0, dark: bool = False) -> Page:
        """The page of an example, so high in a wide window, or else on a phone, and always in the same place."""
        page = self.browser.open('about:blank')
        if height:
            page.resize(WIDE, height)
        else:
            page.resize(*PHONE, mobile=True)
            page.call('Emulation.setTouchEmulationEnabled', enabled=True)
        page.call('Emulation.setScrollbarsHidden', hidden=True)
        page.prefers(prefers_color_scheme='dark' if dark else 'light')
        page.call('Emulation.setTimezoneOverride', timezoneId='UTC')
        page.call('Emulation.setLocaleOverride', locale='en-GB')
        port = self.start(script, *arguments)[1]
        page.go(f'http://127.0.0.1:{port}/{address}')
        return page


SCENES: dict[str, Callable[[Scene], Page]] = {}


def scene(function: Callable[[Scene], Page]) -> Callable[[Scene], Page]:
    SCENES[function.__name__] = function
    return function


NINE = 1_700_038_800_000  # o'clock, in milliseconds since 1970

SAID = [
    ('Ann', 'Morning! Is the new build up?'),
    ('Zoë', 'Since half past eight. All tests are green. ☀️'),
    ('Ben', 'The train stood in a tunnel, and my line was gone. What have I missed?'),
    ('Ann', 'Nothing: what was said meanwhile is on your page.'),
    ('Ben', 'So it is. It came back by itself.'),
    ('Ann', 'Coffee?'),
]
PEOPLE = ['Ann', 'Zoë', 'Ben', 'Mehmet', 'Olga', 'Francesca', 'Per']


def conversation(page: Page) -> Page:
    page.type('#name', 'Ann')
    page.shows('#people', 'Ann')
    messages = [{'name': name, 'text': text, 'time': NINE + 40_000 * n} for n, (name, text) in enumerate(SAID)]
    for what in [
        {'type': 'history', 'messages': messages},
        {'type': 'people', 'people': PEOPLE, 'came': 'Per'},
    ]:
        page.evaluate(f'receive({json.dumps(what)})')
    return page


@scene
def chat(scene: Scene) -> Page:
    return conversation(scene.open('chat/server.py', address='#lobby', height=640))


@scene
def chat_on_a_phone(scene: Scene) -> Page:
    return conversation(scene.open('chat/server.py', address='#lobby', dark=True))


#: Two files are there, one is refused, one is on its way, one has to wait.
UPLOADING = """(() => {
  let clock = 0;
  performance.now = () => clock;
  line.send = async (file, path, progress) => {
    if (path.endsWith('.tmp')) throw new Refused('the path is too long');
    const part = path.endsWith('.mov') ? 0.4 : 1;
    clock += file.size * part / 4e3; // 4 MB/s
    progress(Math.round(file.size * part));
    if (part < 1) await new Promise(() => {});
  };
  add([
    ['map.pdf', 2.4e6], ['beach/sunrise.jpg', 5.3e6], ['beach/cache.tmp', 1e3], ['beach/waves.mov', 48e6],
    ['diary.txt', 18e3],
  ].map(([path, size]) => ({path: `holiday/${path}`, file: {size}})));
})()"""


def uploading(page: Page) -> Page:
    page.shows('#state', 'Connected')
    page.evaluate(UPLOADING)
    page.shows('#all-text', 'left')
    return page


@scene
def fileapi(scene: Scene) -> Page:
    return uploading(scene.open('fileapi/server.py', '--folder', scene.folder / 'uploads', height=820))


@scene
def fileapi_on_a_phone(scene: Scene) -> Page:
    return uploading(scene.open('fileapi/server.py', '--folder', scene.folder / 'uploads'))


#: A minute of it.
MEASURED = """(() => {
  socket.onmessage = null;
  last = undefined;
  memoryChart.clear();
  rateChart.clear();
  let messages = 48_000;
  for (let second = 0; second <= 60; second++) {
    const busy = second > 18 && second < 46;
    messages += busy ? 820 + Math.round(160 * Math.sin(second / 2)) : 12 + second % 5;
    show({
      time: second, messages, connections: 3,
      memory: 2 ** 20 * (31.5 + (second > 20 ? 4.4 : 0) + (second > 48 ? -2.1 : 0) + 0.3 * Math.sin(second / 3)),
    });
  }
})()"""


def measured(page: Page) -> Page:
    page.shows('#connections', '1 connection')
    page.evaluate(MEASURED)
    return page


@scene
def serverstats(scene: Scene) -> Page:
    return measured(scene.open('serverstats/server.py', height=600, dark=True))


@scene
def serverstats_flask(scene: Scene) -> Page:
    return measured(scene.open('serverstats-flask/server.py'))


# -- in the terminal --------------------------------------------------------------------------------------------------


class Terminal(NamedTuple):
    """One that has been used."""

    command: str
    lines: list[str]


TERMINALS = """
<style>
body { margin: 0; padding: 4px 20px;  background: #e9ecf2; }
section { margin: 16px 0; overflow: hidden; border-radius: 10px; background: #181e28; color: #e8ecf3; }
h1, pre { margin: 0; padding: 8px 16px; font: 14px/1.5 'DejaVu Sans Mono', monospace; }
h1 { background: #2a3240; color: #b9c6dc; }
pre { padding-block: 10px 14px; }
</style>
"""


def terminals(scene: Scene, *used: Terminal) -> Page:
    """A page that shows them."""
    page = scene.browser.open('about:blank')
    sections = [
        f'<section><h1>$ {html.escape(t.command)}</h1><pre>{html.escape(chr(10).join(t.lines))}</pre></section>'
        for t in used
    ]
    page.evaluate(f'document.documentElement.innerHTML = {json.dumps(TERMINALS + "".join(sections))}')
    page.resize(760, page.evaluate('Math.ceil(document.body.lastChild.getBoundingClientRect().bottom) + 20'))
    return page


@contextmanager
def wscat(command: str, port: int, *options: object) -> Iterator[tuple[Window, Callable[[], Terminal]]]:
    """The command in a window, and what has become of it; at the end a person has typed nothing more."""
    url = command.split()[2].replace('localhost:8080', f'localhost:{port}')
    with python('-m', 'ws', '-c', url, *map(str, options)) as window:
        yield window, lambda: Terminal(command, window.lines())
        window.type(CTRL_C)


def says(window: Window, *lines: str) -> None:
    for line in lines:
        window.type(line + ENTER)
        sees(window, f'< {line}')


def sees(window: Window, line: str) -> None:
    """Wait for a line that begins so, and for the prompt below it."""

    def is_there() -> bool:
        lines = window.lines()
        return lines[-1] == '>' and any(it.startswith(line) for it in lines)

    window.until(is_there, lambda: f'no {line!r} in {window.lines()}')


def started(script: str, line: str, *arguments: str) -> Terminal:
    """What a server has printed, which is that it is there."""
    return Terminal(' '.join(['.venv/bin/python', f'examples/{script}', *arguments]), [line])


WSCAT = 'wscat -c ws://localhost:8080'


@scene
def demo(scene: Scene) -> Page:
    with child(ROOT / 'examples' / 'demo.py') as program:
        lines = [program.line()]
        while not lines[-1].startswith('Everything'):
            lines.append(program.line())
    lines[0] = re.sub(r':\d+', ':43210', lines[0])
    return terminals(scene, Terminal('make demo', lines))


@scene
def echo(scene: Scene) -> Page:
    port = scene.start('echo.py')[1]
    with wscat(WSCAT, port) as (window, used):
        sees(window, '>')
        says(window, 'Hello!', '¿Qué tal? ☃')
        return terminals(scene, started('echo.py', 'Echoing on ws://localhost:8080'), used())


@scene
def broadcast(scene: Scene) -> Page:
    port = scene.start('broadcast.py')[1]
    with wscat(WSCAT, port) as (ann, ann_used), wscat(WSCAT, port) as (ben, ben_used):
        for window in ann, ben:
            sees(window, '>')
        says(ann, 'Lunch is ready.')
        sees(ben, '< Lunch is ready.')
        says(ben, 'Coming!')
        sees(ann, '< Coming!')
        server = started('broadcast.py', 'Broadcasting on ws://localhost:8080')
        return terminals(scene, server, ann_used(), ben_used())


@scene
def ssl(scene: Scene) -> Page:
    certificate = scene.folder / 'certificate.pem'
    port = scene.start('ssl/server.py', '--cert', certificate, '--key', scene.folder / 'key.pem')[1]
    command = 'wscat -c wss://localhost:8080 --ca examples/ssl/certificate.pem'
    with wscat(command, port, '--ca', certificate) as (window, used):
        sees(window, '>')
        says(window, 'Nobody else can read this.')
        return terminals(scene, started('ssl/server.py', 'Echoing on wss://localhost:8080'), used())


@scene
def hub(scene: Scene) -> Page:
    port = scene.start('hub/hub.py')[1]
    with wscat(WSCAT, port) as (window, used):
        sees(window, '>')
        says(window, '["subscribe", "news"]')
        return terminals(scene, started('hub/hub.py', 'Hub on ws://127.0.0.1:8080'), used())


@scene
def cluster(scene: Scene) -> Page:
    program, port = scene.start('cluster/cluster.py', '--workers', 2)
    workers = [program.line() for _ in range(2)]
    shown = ['worker 4711 is there', 'worker 4712 is there']
    with ExitStack() as stack:
        while True:  # the system chooses who answers; we want to see the second one
            window, used = stack.enter_context(wscat(WSCAT, port))
            sees(window, '< worker')
            answer = used()
            if '< ' + workers[1].replace(' is there', '') in answer.lines:
                break
        lines = [re.sub(r'worker \d+', 'worker 4712', line) for line in answer.lines]
        server = Terminal(
            '.venv/bin/python examples/cluster/cluster.py --workers 2', ['2 workers on ws://localhost:8080', *shown]
        )
        return terminals(scene, server, Terminal(WSCAT, lines))


# -- they are as they were --------------------------------------------------------------------------------------------

STILL = """
* { animation: none !important; transition: none !important; caret-color: transparent !important; }
body { font-family: 'Liberation Sans', Arimo, Arial, sans-serif; }
"""


def taken(page: Page) -> str:
    """A picture of a page at rest."""
    page.evaluate(f"""(async () => {{
      document.head.append(Object.assign(document.createElement('style'), {{textContent: {json.dumps(STILL)}}}));
      document.activeElement.blur();
      await document.fonts.ready;
    }})()""")
    page.drawn()
    return page.picture()


def path_of(name: str) -> Path:
    return pictures.FOLDER / f'{name.replace("_", "-")}.png'


needs = {'ssl': 'openssl'}


@pytest.mark.browser
@pytest.mark.parametrize('name', SCENES)
def test_picture(name: str, start: Start, browser: DevTools, tmp_path: Path) -> None:
    if name in needs and shutil.which(needs[name]) is None:
        pytest.skip(f'{needs[name]} was not found')
    page = SCENES[name](Scene(start, browser, tmp_path))
    now = taken(page)
    if pictures.ANEW:
        pictures.write(path_of(name), page, now)
    kept = pictures.read(path_of(name))
    assert pictures.words(page) == kept.words, 'if this is meant:  make pictures'
    assert [kept.width, kept.height] == page.evaluate('[innerWidth, innerHeight]')
    assert pictures.difference(page, now, base64.b64encode(kept.data).decode()) < pictures.TOLERANCE


IMAGES = re.compile(r'!\[([^\]]*)\]\(([^)\s]+\.png)\)')


def test_each_is_in_the_documents() -> None:
    """With words for those who can't see it."""
    found: dict[Path, Any] = {}
    for path in [ROOT / 'README.md', *ROOT.glob('doc/*.md'), *ROOT.glob('examples/**/*.md')]:
        for words, target in IMAGES.findall(path.read_text(encoding='utf-8')):
            if not target.startswith('https:'):
                assert len(words) > 10, f'{path}: {target}'
                found[(path.parent / target).resolve()] = words
    assert set(found) == set(pictures.FOLDER.iterdir()) == {path_of(name) for name in SCENES}


def test_they_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in pictures.FOLDER.iterdir()}
    assert sum(sizes.values()) < 500_000, sizes
