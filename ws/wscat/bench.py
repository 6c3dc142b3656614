"""``wscat --bench``: what the user asks for, and is told."""

from __future__ import annotations

import argparse
import sys
import threading

from ..protocol.url import without_credentials
from ..websocket import WebSocket
from .characters import visible
from .connecting import client_options, faults_of_usage, subprotocols, url_of
from .load import MOST_UNDER_WAY, Load
from .measures import Plan, Results, as_json, table
from .options import UsageError
from .output import print_text
from .signals import SIGNAL_POLL, EndSignals, Interrupted
from .terminal import are_terminals


def plan_of(options: argparse.Namespace) -> Plan:
    """Raises UsageError."""
    plan = Plan(
        connections=options.connections,
        duration=options.duration,
        messages=options.messages,
        size=options.size,
        in_flight=options.in_flight,
        rate=options.rate,
        binary=options.binary,
    )
    most = plan.in_flight if plan.rate is None else MOST_UNDER_WAY
    if plan.size < len(str(most - 1)) and most > 1:
        raise UsageError(f'--size: {plan.size} bytes are too few to tell {most:,} messages under way from each other')
    return plan


class Bench:
    """On the main thread, which waits."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._url = url_of(options.connect)
        self._client_options = client_options(options)
        self._results = Results(without_credentials(self._url), plan_of(options))
        self._over = threading.Event()
        self._load = Load(self._results, self._connect, self._measuring, self._over.set)
        self._signals = EndSignals(lambda number: self._load.interrupt())

    def _connect(self) -> WebSocket:
        return WebSocket(self._url, subprotocols(self._options), self._client_options)

    def run(self) -> int:
        """Returns the exit status. Raises UsageError, and Interrupted."""
        self._signals.listen()
        with faults_of_usage(self._options):
            self._load.start()
        while not self._over.wait(SIGNAL_POLL):
            pass
        if self._signals.number is not None and not self._results.sent:
            raise Interrupted(self._signals.number)
        return self._tell()

    def _measuring(self) -> None:
        if are_terminals(sys.stderr):
            text = f'Measuring for {self._results.plan.duration:g} s (press CTRL+C to end it early)'
            print(text, file=sys.stderr)

    def _tell(self) -> int:
        results = self._results
        print_text(as_json(results) if self._options.json else visible(table(results), keep='\n'))
        if results.complaint:
            print(f'error: {visible(results.complaint)}', file=sys.stderr)
        return 0 if results.good else 1
