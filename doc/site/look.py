"""Looks at the built site in Chromium: on a desktop and on a phone, light and dark.

    python doc/site/look.py SITE PICTURES

Fails if something sticks out at the side, a script fails, or anything is missing or comes from another host. A person
looks at the pictures.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from browser import Chromium, Page

SCREENS = {'desktop': (1280, 800, False), 'phone': (390, 844, True)}
SCHEMES = ('light', 'dark')

#: What the page has loaded: address and HTTP status.
LOADED = """
    [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .map((entry) => [entry.name, entry.responseStatus])
"""
#: What is wider than the screen, and does not scroll by itself.
STICKS_OUT = """
    (() => {
        const main = document.querySelector('main');
        const clips = (node) => node !== main
            && (getComputedStyle(node).overflowX !== 'visible' || clips(node.parentElement));
        const width = document.documentElement.clientWidth;
        return [...document.querySelectorAll('main *')]
            .filter((element) => element.getBoundingClientRect().right > width + 1 && !clips(element.parentElement))
            .map((element) => element.outerHTML.slice(0, 100));
    })()
"""


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Not a line for each request."""


def main(site: Path, pictures: Path) -> int:
    pictures.mkdir(parents=True, exist_ok=True)
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Files, directory=str(site))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=[0.01])
        thread.start()
        try:
            faults = look(site, pictures, f'http://127.0.0.1:{httpd.server_port}')
        finally:
            httpd.shutdown()
            thread.join()
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def look(site: Path, pictures: Path, host: str) -> list[str]:
    places = sorted(path.parent.relative_to(site).as_posix() for path in site.rglob('index.html'))
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        chromium = Chromium(Path(folder))
        try:
            with chromium.connect() as devtools:
                page = devtools.open('about:blank')
                for screen, (width, height, mobile) in SCREENS.items():
                    page.resize(width, height, mobile)
                    for scheme in SCHEMES:
                        features = [{'name': 'prefers-color-scheme', 'value': scheme}]
                        page.call('Emulation.setEmulatedMedia', features=features)
                        for place in places:
                            page.go(f'{host}/{place}/')
                            name = f'{place.replace("/", "-").strip(".") or "index"}-{screen}-{scheme}'
                            take_picture(page, pictures / f'{name}.png')
                            faults += [f'{name}: {fault}' for fault in faults_of(page, host)]
        finally:
            chromium.end()
    print(f'{len(places)} pages, {len(SCREENS) * len(SCHEMES)} ways each: {pictures}')
    return faults


def take_picture(page: Page, path: Path) -> None:
    path.write_bytes(base64.b64decode(page.call('Page.captureScreenshot')['data']))


def faults_of(page: Page, host: str) -> list[str]:
    loaded = page.evaluate(LOADED)
    here = (host, 'data:', 'blob:')
    faults = [f'{name} comes from elsewhere' for name, _status in loaded if not name.startswith(here)]
    faults += [f'{name}: status {status}' for name, status in loaded if status >= 400]
    faults += [f'sticks out: {element}' for element in page.evaluate(STICKS_OUT)]
    return faults


if __name__ == '__main__':
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
