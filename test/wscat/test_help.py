"""What wscat says of itself: -h, and the manual page."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess

import pytest
from documents import ROOT
from support import TIMEOUT
from terminals import run

from ws.options import LIMITS, RECONNECTING_OPTIONS, SERVER_OPTIONS
from ws.wscat import client, load
from ws.wscat.help import help_text, manual_page
from ws.wscat.usage import EXAMPLES, GROUPS, LOAD_TEST, NOTES, STATUSES, all_options

PAGE = ROOT / 'doc' / 'wscat.1'


def in_one_line(text: str) -> str:
    return ' '.join(text.split())


def test_the_help_names_every_option() -> None:
    text = help_text()
    for option in all_options():
        assert re.search(rf'^ {{2,6}}{re.escape(option.names)}\b', text, re.MULTILINE), option
        assert in_one_line(option.text) in in_one_line(text)
    named = re.findall(r'^ {2,6}(?:-\w, )?(--[a-z-]+)', text, re.MULTILINE)
    assert named == [option.name for option in all_options()]


def test_the_help_is_no_wider_than_a_window() -> None:
    assert max(map(len, help_text().splitlines())) <= 120


def test_the_help_has_all_that_is_short() -> None:
    text = in_one_line(help_text())
    for said in [*NOTES, *(text for _, text in STATUSES), *(command for command, _ in EXAMPLES)]:
        assert said in text


def test_no_option_is_there_twice() -> None:
    flags = [flag for option in all_options() for flag in option.flags]
    assert len(flags) == len(set(flags))


def test_numbers_in_the_texts() -> None:
    """Those that the texts don't take from where they are defined."""
    text = in_one_line(manual_page())
    assert (LIMITS['pingTimeout'], 'If nothing comes within 20 seconds' in text) == (20_000, True)
    assert (load.PATIENCE, 'answers have 5 more seconds' in text) == (5, True)
    assert (load._AT_ONCE, 'up to 32 connections at a time' in text) == (32, True)
    least, jitter = client._RECONNECTING['minReconnectionDelay'], client._RECONNECTING['jitter']
    assert (least, jitter, 'after half a second to a second' in text) == (500, 1, True)
    assert (RECONNECTING_OPTIONS['maxReconnectionDelay'], 'after up to 10 seconds' in text) == (10_000, True)
    assert (SERVER_OPTIONS['host'], '(default: 0.0.0.0)' in text) == ('0.0.0.0', True)


# -- the manual page ---------------------------------------------------------------------------------------------------


def test_the_page_in_the_repository_is_the_current_one() -> None:
    """If it is not: python -m ws --man >doc/wscat.1"""
    assert PAGE.read_text(encoding='utf-8') == manual_page()


def test_it_is_printed() -> None:
    assert run('--man') == (0, manual_page(), '')


def test_it_is_installed() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    assert parser['options.data_files']['share/man/man1'].split() == ['doc/wscat.1']


@pytest.fixture(scope='module')
def as_shown() -> str:
    """The page, as man shows it, without the marks of bold and underlined text."""
    if shutil.which('groff') is None:
        pytest.skip('groff was not found')
    result = subprocess.run(
        ['groff', '-man', '-ww', '-Tutf8', '-P-c', '-rLL=120n', str(PAGE)],
        capture_output=True, encoding='utf-8', timeout=TIMEOUT,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, '')
    return in_one_line(re.sub('.\b', '', result.stdout))


def test_it_has_everything(as_shown: str) -> None:
    for option in all_options():
        assert f'{option.names} {option.value}'.strip() in as_shown
        assert option.more in as_shown
    for text in [*NOTES, *LOAD_TEST, *(text for _, text in STATUSES), *(command for command, _ in EXAMPLES)]:
        assert text in as_shown
    for group in GROUPS:
        assert group.title in as_shown
