"""What every test gets: no thread, no descriptor and no unreported exception is left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import ws
from ws.net import main_thread, poller
from ws.options import CLIENT_OPTIONS, SERVER_OPTIONS

sys.path.append(str(Path(__file__).with_name('stand_ins')))  # for packages that are missing

# What they assert is told as fully as what a test does; before anybody imports them.
pytest.register_assert_rewrite(
    'browser', 'documents', 'ends', 'fakes', 'files', 'hops', 'interrupts', 'loop_timers', 'meeting', 'proxies',
    'redises', 'scripts', 'streams', 'support', 'terminals', 'net.listeners', 'net.stream.makers',
    'protocol.http.heads', 'protocol.receiver.frames', 'protocol.recording', 'websocket_stream.pairs',
)  # fmt: skip

import ends  # noqa: E402
from scripts import script  # noqa: E402, F401  # a fixture
from support import open_pair  # noqa: E402

# How long a test takes says nothing on a machine that does other things, too.
hypothesis.settings.register_profile('ws', deadline=None)
hypothesis.settings.load_profile('ws')

#: How long, in seconds, a test's leftovers may take to go.
PATIENCE = 5.0

#: With so many threads as option `executor` of all clients and servers that say nothing else, the tests show that what
#: is promised of listeners holds on a pool, too.
POOL = int(os.environ.get('WS_TEST_EXECUTOR', '0'))


def pytest_configure() -> None:
    """Shells start what runs in the background with Ctrl-C ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main_thread.watch_for_interrupts()  # keeps two descriptors to the end, from the first start of the loop on
    if POOL:
        CLIENT_OPTIONS['executor'] = SERVER_OPTIONS['executor'] = POOL


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if POOL:
        others = [item for item in items if item.get_closest_marker('loop') is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in others])
        items[:] = others


def pytest_report_header() -> str:
    accelerator = 'the accelerator' if ws.speedups else 'Python alone'
    waits = selectors.DefaultSelector.__name__ if poller.Poller is poller.SelectorPoller else 'epoll'
    return f'ws: {accelerator}, {waits}, from {os.path.dirname(ws.__file__)}'


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Ends with what was skipped, and why."""
    yield
    reasons = Counter(
        report.longrepr[2].removeprefix('Skipped: ') for report in terminalreporter.stats.get('skipped', [])
    )
    if reasons:
        terminalreporter.section('skipped')
    for reason, number in sorted(reasons.items()):
        terminalreporter.line(f'SKIPPED {number}: {reason}')


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith('ws')}


def _descriptors() -> set[str]:
    """What is open, each with what it points to, so that a number used anew is not taken for the old one."""
    found = set()
    for number in os.listdir('/proc/self/fd'):
        try:
            found.add(f'{number} -> {os.readlink(f"/proc/self/fd/{number}")}')
        except OSError:  # listdir's own
            continue
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """The loop thread ends with the last socket, and takes its descriptors along."""
    # ThreadSanitizer keeps pipes of its own, from its first look at a race on.
    has_proc = os.path.isdir('/proc/self/fd') and 'TSAN_OPTIONS' not in os.environ
    before = _descriptors() if has_proc else set()
    known = _threads()  # an earlier test has left them, and has failed for that
    yield
    deadline = time.monotonic() + PATIENCE
    while True:
        threads = _threads() - known
        descriptors = _descriptors() - before if has_proc else set()
        if not threads and not descriptors:
            return
        if time.monotonic() > deadline:
            break
        for thread in threads:
            with contextlib.suppress(RuntimeError):  # just about to start
                thread.join(0.2)
        if not threads:  # what only the collector finds, in a cycle with an exception say
            gc.collect()
    pytest.fail(f'left behind: {threads or ""} {descriptors or ""}')


@pytest.fixture(autouse=True)
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """The exceptions that reached threading.excepthook. A test that expects some takes them out of the list."""
    exceptions: list[BaseException] = []
    monkeypatch.setattr(threading, 'excepthook', lambda arguments: exceptions.append(arguments.exc_value))
    yield exceptions
    assert not exceptions, f'reported, and not expected: {exceptions!r}'


@pytest.fixture(params=[None, 1e-6], ids=['', 'hasty'])
def switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """The switch interval as it is, and one with which threads change places at nearly every bytecode."""
    before = sys.getswitchinterval()
    if request.param is not None:
        sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def pair() -> Iterator[tuple[ws.WebSocket, ws.WebSocket]]:
    """Both ends of an open connection, the client's first."""
    with open_pair() as pair:
        yield pair


@pytest.fixture(params=ends.KINDS)
def this(request: pytest.FixtureRequest) -> Iterator[ends.End]:
    """An open connection without listeners, of each kind there is."""
    with ends.connection(request.param) as this:
        yield this
