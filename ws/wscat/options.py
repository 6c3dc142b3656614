"""The command line of wscat: what it says, checked as far as that needs nothing else."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Optional

from .usage import BENCH, CONNECT, LISTEN, Option, all_options

#: Those that ask for a text about wscat.
_ASKING = ('version', 'help', 'man', 'completion')


class UsageError(Exception):
    """The command line asks for what can't be done."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(message)


def parse(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    """The options of a command line. Raises UsageError.

    The URL, wherever it stood, is `connect`; it is None if nothing but a text is asked for.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    _settle_target(options)
    if options.connect is None and options.listen is None:
        _check_that_a_text_is_asked_for(parser, options)
        return options
    for option in all_options():
        if _is_given(parser, options, option) and mode_of(options) not in option.modes:
            raise UsageError(_refusal(option, mode_of(options)))
    _check_combinations(options)
    return options


def mode_of(options: argparse.Namespace) -> str:
    """CONNECT, LISTEN or BENCH."""
    if options.listen is not None:
        return LISTEN
    return BENCH if options.bench else CONNECT


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog='wscat', add_help=False, allow_abbrev=False)
    for option in all_options():
        parser.add_argument(*option.flags, **option.keywords)
    parser.add_argument('url', nargs='?', metavar='URL')
    return parser


def _settle_target(options: argparse.Namespace) -> None:
    if options.listen is not None and options.connect is not None:
        raise UsageError('use either --listen or --connect')
    if options.listen is not None and options.bench:
        raise UsageError('use either --listen or --bench')
    if options.listen is not None and options.url is not None:
        raise UsageError('use either --listen or a URL')
    if options.connect is not None and options.url is not None:
        raise UsageError('there are two URLs: use one, with or without --connect')
    if options.url is not None:
        options.connect = options.url


def _check_that_a_text_is_asked_for(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    asked = any(getattr(options, name) for name in _ASKING)
    if not asked and any(_is_given(parser, options, option) for option in all_options()):
        raise UsageError('say where to connect to, by a URL, or where to listen, by --listen PORT')


def _is_given(parser: argparse.ArgumentParser, options: argparse.Namespace, option: Option) -> bool:
    return bool(getattr(options, option.destination) != parser.get_default(option.destination))


def _refusal(option: Option, mode: str) -> str:
    if mode == BENCH:
        return f'{option.name} does not work with --bench'
    needed = CONNECT if CONNECT in option.modes else option.modes[0]
    return f'{option.name} works with --{needed} only'


def _check_combinations(options: argparse.Namespace) -> None:
    if options.raw and options.timestamps:
        raise UsageError('--timestamps: --raw adds nothing to the output')
    if options.rate is not None and options.in_flight != 1:
        raise UsageError('use either --rate or --in-flight')
    try:
        '\0'.join(options.execute).encode()
    except UnicodeEncodeError:
        raise UsageError('--execute: the message is not text in the encoding of this terminal') from None
