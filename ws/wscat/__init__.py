"""wscat: talk to a WebSocket server, or be one, from a terminal or a pipe. ``wscat -h`` says how."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Optional

from .. import __version__
from .characters import visible
from .options import HELP, UsageError, parse
from .output import discard_output
from .session import Client, Server


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run wscat with these arguments, or with those of the command line; returns the exit status."""
    _fill_gaps()
    try:
        return _run(parse(arguments))
    except UsageError as error:
        print(f'error: {visible(str(error))}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # Ctrl-C again, or before there was a connection to close: end as killed by it, which is 130 in a shell.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 1


def _fill_gaps() -> None:
    """Where the shell has closed a standard stream (``<&-``), its number would be given to some socket of ours."""
    for name, mode in (('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w')):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding='utf-8'))  # noqa: SIM115  # for as long as we run


def _run(options: argparse.Namespace) -> int:
    if options.version:
        return _print(__version__)
    if options.help or (options.connect is None and options.listen is None):
        return _print(HELP.rstrip())
    session = Client(options) if options.connect is not None else Server(options)
    return session.run()


def _print(text: str) -> int:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()
    return 0
