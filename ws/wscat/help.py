"""What wscat says of itself: the text of ``-h``, and the manual page. Both are made of what stands in usage.py."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from .. import __version__
from .usage import (
    ABOUT,
    ENVIRONMENT,
    EXAMPLES,
    GROUPS,
    LOAD_TEST,
    NOTES,
    STATUSES,
    SUMMARY,
    USAGES,
    Group,
    Option,
)

_WIDTH = 120
#: Where the texts of options begin.
_COLUMN = 30
_STATUS_COLUMN = 7


def help_text() -> str:
    """For ``-h``."""
    parts = [
        '\n'.join(f'{"Usage:" if not number else "":<6} wscat {usage}' for number, usage in enumerate(USAGES)),
        _filled(ABOUT),
        *map(_group_in_help, GROUPS),
        *map(_filled, NOTES),
        '\n'.join(['Exit status', *(_hanging(f'  {status}', text, _STATUS_COLUMN) for status, text in STATUSES)]),
        '\n'.join(['Examples', *(f'  {command}' for command, _ in EXAMPLES)]),
    ]
    return '\n\n'.join(parts) + '\n'


def _group_in_help(group: Group) -> str:
    lines = [group.title] if group.title else []
    return '\n'.join([*lines, *map(_option_in_help, group.options)])


def _option_in_help(option: Option) -> str:
    indent = '  ' if len(option.flags) > 1 else '      '
    return _hanging(f'{indent}{option.names} {option.value}'.rstrip(), option.text, _COLUMN)


def _hanging(begin: str, text: str, column: int) -> str:
    """`text` in a column of its own, beside `begin` if there is room."""
    indent = ' ' * column
    filled = _filled(text, indent)
    return begin.ljust(column) + filled[column:] if len(begin) < column - 1 else f'{begin}\n{filled}'


def _filled(text: str, indent: str = '') -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


# -- the manual page --------------------------------------------------------------------------------------------------

_find_options = re.compile(r'(?<![\w-])--?[a-z][\w-]*')


def manual_page() -> str:
    """In the language of man(7)."""
    return '\n'.join(_manual_lines()) + '\n'


def _manual_lines() -> Iterator[str]:
    yield f'.TH WSCAT 1 "" "ws {__version__}" "User Commands"'
    yield '.nh\n.ad l'  # no hyphenation, and a ragged right: what is to be typed can be searched, and copied
    yield from _section('NAME', [f'wscat \\- {_roff(SUMMARY)}'])
    yield from _section('SYNOPSIS', _synopsis())
    yield from _section('DESCRIPTION', _paragraphs([ABOUT, *NOTES]))
    yield from _section('OPTIONS', _options())
    yield from _section('LOAD TEST', _paragraphs(LOAD_TEST))
    yield from _section('ENVIRONMENT', _definitions(ENVIRONMENT))
    yield from _section('EXIT STATUS', _definitions(STATUSES))
    yield from _section('EXAMPLES', _examples())


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f'.SH {title}'
    yield from lines


def _synopsis() -> Iterator[str]:
    for number, usage in enumerate(USAGES):
        if number:
            yield '.br'
        yield f'.B wscat\n{_roff(usage)}'


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        if number:
            yield '.PP'
        yield _marked(text)


def _definitions(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in entries:
        yield f'.TP\n\\fB{_roff(term)}\\fR\n{_marked(text)}'


def _options() -> Iterator[str]:
    for group in GROUPS:
        if group.title:
            yield f'.SS {group.title}'
        for option in group.options:
            flags = ', '.join(f'\\fB{_roff(flag)}\\fR' for flag in option.flags)
            value = f' \\fI{_roff(option.value)}\\fR' if option.value else ''
            yield f'.TP\n{flags}{value}\n{_marked(_sentences(option))}'


def _sentences(option: Option) -> str:
    text = option.text[0].upper() + option.text[1:] + '.'
    return f'{text} {option.more}' if option.more else text


def _examples() -> Iterator[str]:
    for command, text in EXAMPLES:
        yield f'.TP\n{_roff(command)}\n{_marked(text)}'


def _marked(text: str) -> str:
    """A paragraph, the options in it in bold."""
    return _find_options.sub(lambda found: f'\\fB{found[0]}\\fR', _guarded(text)).replace('-', '\\-')


def _roff(text: str) -> str:
    """`text` as it is, hyphens as those that can be copied and typed."""
    return _guarded(text).replace('-', '\\-')


def _guarded(text: str) -> str:
    """With nothing in it that the language would take for its own."""
    text = text.replace('\\', '\\e').replace("'", '\\(aq')
    return f'\\&{text}' if text.startswith('.') else text
