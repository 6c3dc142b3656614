"""wscat: talk to a WebSocket server, or be one, from a terminal or a pipe. ``wscat -h`` says how."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Optional, Union

from .. import __version__
from .bench import Bench
from .characters import visible
from .client import Client
from .completion import completion
from .help import help_text, manual_page
from .options import UsageError, mode_of, parse
from .output import print_text
from .record import RecordError
from .server import Server
from .session import Session
from .signals import Interrupted
from .usage import BENCH, CONNECT, LISTEN


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run wscat with these arguments, or with those of the command line; returns the exit status."""
    _fill_gaps()
    try:
        return _run(parse(arguments))
    except (UsageError, RecordError) as error:
        print(f'error: {visible(str(error))}', file=sys.stderr)
        return 2
    except Interrupted as error:
        return _end_as_if_killed(error.number)
    except KeyboardInterrupt:
        return _end_as_if_killed(signal.SIGINT)


def _end_as_if_killed(number: int) -> int:
    """So that shells, and the scripts they run, know: there, the status is 130 after Ctrl-C, and 143 after SIGTERM."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def _fill_gaps() -> None:
    """Where the shell has closed a standard stream (``<&-``), its number would be given to some socket of ours."""
    for name, mode in (('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w')):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding='utf-8'))  # noqa: SIM115  # for as long as we run


def _run(options: argparse.Namespace) -> int:
    if options.version:
        print_text(__version__)
    elif options.man:
        print_text(manual_page().rstrip())
    elif options.completion is not None:
        print_text(completion(options.completion).rstrip())
    elif options.help or (options.connect is None and options.listen is None):
        print_text(help_text().rstrip())
    else:
        return _MODES[mode_of(options)](options).run()
    return 0


_MODES: dict[str, Callable[[argparse.Namespace], Union[Session, Bench]]] = {
    CONNECT: Client,
    LISTEN: Server,
    BENCH: Bench,
}
