"""Chromium without a window, for tests of pages: our own client speaks its DevTools protocol.

What can be sent is listed at https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from support import TIMEOUT, end, until, wait_for

from ws import WebSocket

#: Where Chromium is, or None.
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')

_ORIGIN = 'http://tests'
_OPTIONS = (
    '--headless=new --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run --disable-sync '
    '--disable-background-networking --disable-component-update --disable-breakpad --remote-debugging-port=0 '
    f'--remote-allow-origins={_ORIGIN} --window-size=1280,800'
).split()


class Chromium:
    """A running Chromium. Its files are in `folder`, which must be empty."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        self._profile = folder / 'profile'
        self._errors = folder / 'stderr'
        with self._errors.open('wb') as errors:
            self._process = subprocess.Popen(
                [CHROMIUM, *_OPTIONS, f'--user-data-dir={self._profile}', 'about:blank'],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        until(self._address)

    def _address(self) -> list[str]:
        """Port and path of its DevTools, once it has written them."""
        assert self._process.poll() is None, self._errors.read_text(errors='replace')
        try:
            lines = (self._profile / 'DevToolsActivePort').read_text().splitlines()
        except OSError:
            return []
        return lines if len(lines) == 2 else []

    @contextlib.contextmanager
    def connect(self) -> Iterator[DevTools]:
        """A connection to it. Only a test has one: each is to leave no thread behind."""
        port, path = self._address()
        ws = WebSocket(f'ws://127.0.0.1:{port}{path}', origin=_ORIGIN)
        devtools = DevTools(ws)
        wait_for(ws, 'open')
        try:
            yield devtools
        finally:
            devtools.leave()
            end(ws)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT)
        finally:
            with contextlib.suppress(ProcessLookupError):  # none of its children is left
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class DevTools:
    """The browser's end of the protocol: commands with answers, and events."""

    def __init__(self, ws: WebSocket) -> None:
        self._ws = ws
        self._ids = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._contexts: list[str] = []
        self._pages: dict[str, Page] = {}
        ws.on('message', self._on_message)

    def call(self, method: str, session: Optional[str] = None, **parameters: Any) -> dict[str, Any]:
        """Send a command; returns its result."""
        number = next(self._ids)
        answer = self._answers[number] = queue.SimpleQueue()
        command = {'id': number, 'method': method, 'params': parameters}
        self._ws.send(json.dumps({**command, 'sessionId': session} if session else command))
        message = answer.get(timeout=TIMEOUT)
        assert 'error' not in message, f'{method}: {message["error"]}'
        result: dict[str, Any] = message['result']
        return result

    def _on_message(self, text: str) -> None:
        message = json.loads(text)
        if 'id' in message:
            self._answers.pop(message['id']).put(message)
        elif message['method'] == 'Runtime.exceptionThrown':
            details = message['params']['exceptionDetails']
            self._pages[message['sessionId']].exceptions.append(details.get('exception', details))
        elif message['method'] == 'Page.fileChooserOpened':
            self._pages[message['sessionId']].choosers.put(message['params'])

    def open(self, url: str) -> Page:
        """A page of its own window, which shares nothing with the others, as if it were another person's."""
        context = self.call('Target.createBrowserContext')['browserContextId']
        self._contexts.append(context)
        target = self.call('Target.createTarget', url='about:blank', browserContextId=context)['targetId']
        session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        page = self._pages[session] = Page(self, session)
        page.call('Runtime.enable')
        if url != 'about:blank':
            page.go(url)
        return page

    def leave(self) -> None:
        """Close what was opened. What a page's scripts have thrown fails the test."""
        for context in self._contexts:
            self.call('Target.disposeBrowserContext', browserContextId=context)
        exceptions = [exception for page in self._pages.values() for exception in page.exceptions]
        assert not exceptions, exceptions


class Page:
    """One page, and what a person does with it."""

    def __init__(self, devtools: DevTools, session: str) -> None:
        self._devtools = devtools
        self._session = session
        #: What its scripts have thrown and not caught.
        self.exceptions: list[dict[str, Any]] = []
        #: The dialogs for files that would have been opened, see `opens_chooser`.
        self.choosers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._devtools.call(method, self._session, **parameters)

    def go(self, url: str) -> None:
        """Load the first document of a page."""
        failed = self.call('Page.navigate', url=url).get('errorText')
        assert failed is None, f'{url}: {failed}'
        self.until('location.href !== "about:blank" && document.readyState === "complete"')

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; what it promises, if that is a promise."""
        answer = self.call('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        assert 'exceptionDetails' not in answer, f'{expression}: {answer["exceptionDetails"]}'
        return answer['result'].get('value')

    def until(self, expression: str) -> Any:
        """Wait for the expression to be true, as JavaScript sees it; returns its value."""
        values: list[Any] = [None]

        def is_true() -> Any:
            values[:] = [self.evaluate(expression)]
            return values[0]

        try:
            until(is_true)
        except AssertionError:
            raise AssertionError(f'never true: {expression}, but {values[0]!r}; {self.exceptions}') from None
        return values[0]

    def text(self, selector: str) -> str:
        """The text of an element, as it is seen."""
        text: str = self.evaluate(f'document.querySelector({json.dumps(selector)}).innerText')
        return text

    def shows(self, selector: str, text: str) -> None:
        """Wait until an element shows a text."""
        self.until(f'document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})')

    def click(self, selector: str) -> None:
        x, y = self.middle(selector)
        for kind in 'mousePressed', 'mouseReleased':
            self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)

    def tap(self, selector: str) -> None:
        """With a finger."""
        x, y = self.middle(selector)
        self.call('Input.dispatchTouchEvent', type='touchStart', touchPoints=[{'x': x, 'y': y}])
        self.call('Input.dispatchTouchEvent', type='touchEnd', touchPoints=[])

    def opens_chooser(self, selector: str) -> bool:
        """Whether a tap there opens the system's dialog for files, for several of them."""
        self.call('Page.enable')
        self.call('Page.setInterceptFileChooserDialog', enabled=True)
        self.tap(selector)
        return bool(self.choosers.get(timeout=TIMEOUT)['mode'] == 'selectMultiple')

    def middle(self, selector: str) -> tuple[float, float]:
        """Where an element is, scrolled into view."""
        find = f'document.querySelector({json.dumps(selector)})'
        self.evaluate(f'{find}.scrollIntoView({{block: "center", behavior: "instant"}})')
        box = self.evaluate(f'{find}.getBoundingClientRect().toJSON()')
        assert box['width'] and box['height'], f'{selector} is not to be seen'
        return box['x'] + box['width'] / 2, box['y'] + box['height'] / 2

    def type(self, selector: str, text: str, enter: bool = True) -> None:
        """Type into a field, in place of what it holds, and press Enter."""
        self.evaluate(f'document.querySelector({json.dumps(selector)}).focus()')
        self.evaluate(f'document.querySelector({json.dumps(selector)}).select()')
        self.call('Input.insertText', text=text)
        if enter:
            self.call(
                'Input.dispatchKeyEvent', type='keyDown', key='Enter', code='Enter', text='\r', windowsVirtualKeyCode=13
            )
            self.call('Input.dispatchKeyEvent', type='keyUp', key='Enter', code='Enter', windowsVirtualKeyCode=13)

    def choose(self, selector: str, *paths: Path) -> None:
        """Choose files, or a folder, in a field for them."""
        root = self.call('DOM.getDocument')['root']['nodeId']
        node = self.call('DOM.querySelector', nodeId=root, selector=selector)['nodeId']
        self.call('DOM.setFileInputFiles', nodeId=node, files=[str(path) for path in paths])

    def drop(self, selector: str, *paths: Path) -> None:
        """Drag files and folders from outside to an element, and drop them there."""
        x, y = self.middle(selector)
        data = {'items': [], 'files': [str(path) for path in paths], 'dragOperationsMask': 1}
        for kind in 'dragEnter', 'dragOver', 'drop':
            self.call('Input.dispatchDragEvent', type=kind, x=x, y=y, data=data)

    def resize(self, width: int, height: int, mobile: bool = False, scale: int = 1) -> None:
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=mobile,
        )

    def prefers(self, **features: str) -> None:
        """What its media queries find, `prefers_color_scheme='dark'` for one."""
        self.call(
            'Emulation.setEmulatedMedia',
            features=[{'name': name.replace('_', '-'), 'value': value} for name, value in features.items()],
        )

    def on_a_phone(self, height: int = 844) -> None:
        """A narrow screen and a finger. It is less high while a keyboard is open."""
        self.resize(390, height, mobile=True, scale=2)
        self.call('Emulation.setTouchEmulationEnabled', enabled=True)
        self.drawn()

    def drawn(self) -> None:
        """Wait until what has changed is on the screen, and the page's observers have seen it."""
        self.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')

    def press_tab(self) -> None:
        for kind in 'rawKeyDown', 'keyUp':
            self.call('Input.dispatchKeyEvent', type=kind, key='Tab', code='Tab', windowsVirtualKeyCode=9)

    def picture(self) -> str:
        """What is seen: a PNG, in Base64."""
        data: str = self.call('Page.captureScreenshot', format='png')['data']
        return data

    def fits_a_phone(self) -> bool:
        """Whether nothing sticks out at the side of a narrow screen."""
        self.resize(360, 740, mobile=True, scale=2)
        fits: bool = self.evaluate('document.documentElement.scrollWidth <= innerWidth && innerWidth <= 360')
        self.call('Emulation.clearDeviceMetricsOverride')
        return fits
