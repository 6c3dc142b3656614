"""doc/versioning.md says what is so: of names, of Pythons, of releases. The changelog keeps to its form."""

from __future__ import annotations

import configparser
import re

import pytest
from documents import ROOT, Document
from public_api import MODULES

import ws

TEXT = ' '.join((ROOT / 'doc' / 'versioning.md').read_text(encoding='utf-8').split())
CHANGELOG = (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
#: Of https://keepachangelog.com/.
SECTIONS = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']


@pytest.fixture(scope='module')
def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    return parser


def test_the_modules_it_names_are_those_of_the_list() -> None:
    [named] = re.findall(r' - what ([^-]*?) list in their `__all__`', TEXT)
    assert set(re.findall('`([^`]+)`', named)) <= set(MODULES)


def test_the_extras_and_the_name_are_public(metadata: configparser.ConfigParser) -> None:
    extras = re.findall(r'the extras `(\w+)` and `(\w+)`', TEXT)
    assert set(extras[0]) == set(metadata['options.extras_require']) - {'test', 'lint', 'dist'}
    assert f'`{metadata["metadata"]["name"]}>=' in TEXT


def test_the_pythons_are_those_that_are_tested(metadata: configparser.ConfigParser) -> None:
    listed = re.findall(r'Python :: (3\.\d+)$', metadata['metadata']['classifiers'], re.MULTILINE)
    assert f'CPython {listed[0]} to {listed[-1]}' in TEXT
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    assert f'PYTHONS ?= {" ".join(listed)}\n' in makefile
    workflow = (ROOT / '.github' / 'workflows' / 'tests.yml').read_text(encoding='utf-8')
    [matrix] = re.findall(r'python: \[(.*)\]', workflow)
    assert [version for version in re.findall("'([^']+)'", matrix) if not version.endswith('t')] == listed


def test_pyee_is_taken_from_the_version_it_says(metadata: configparser.ConfigParser) -> None:
    [least] = re.findall(r'`pyee` is taken in every version from (\d+) on', TEXT)
    assert metadata['options']['install_requires'].split() == [f'pyee>={least}']


def test_all_that_leads_to_the_project_leads_to_one_place(metadata: configparser.ConfigParser) -> None:
    urls = [line.partition(' = ')[2] for line in metadata['metadata']['project_urls'].strip().splitlines()]
    assert urls[0].startswith('https://')
    assert all(url == urls[0] or url.startswith(f'{urls[0]}/') for url in urls)


def test_the_changelog_begins_with_this_version() -> None:
    releases = re.findall(r'^## (.*)$', CHANGELOG, re.MULTILINE)
    assert releases[0] == 'Unreleased' or releases[0].startswith(f'{ws.__version__} - ')
    for release in releases:
        assert re.fullmatch(r'Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d', release)


def test_the_changelog_is_in_sections() -> None:
    assert set(re.findall(r'^### (.*)$', CHANGELOG, re.MULTILINE)) <= set(SECTIONS)
    for release in re.split(r'^## ', CHANGELOG, flags=re.MULTILINE)[1:]:
        found = re.findall(r'^### (.*)$', release, re.MULTILINE)
        assert found == sorted(found, key=SECTIONS.index)


def test_the_documents_it_leads_to_are_there() -> None:
    assert {'threads.md', '../test/public_api.txt', '../SECURITY.md'} <= set(Document('doc/versioning.md').links)
