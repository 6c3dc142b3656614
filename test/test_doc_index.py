"""doc/index.md leads to every document, and so does the site's navigation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import ROOT, Checks, Runner, connect

INDEX = Checks('doc/index.md')
DOCUMENTS = sorted(path.name for path in (ROOT / 'doc').glob('*.md') if path.name != 'index.md')


@pytest.mark.parametrize('name', INDEX.names())
def test_example(name: str, tmp_path: Path) -> None:
    INDEX.run(name, tmp_path)


@INDEX.check('ws')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    assert log.until('message')[-1][1] == 'something'
    ws.send('hello')
    assert program.line() == 'received: hello'
    program.stops()


def test_every_document_is_in_the_list() -> None:
    listed = INDEX.document.path.read_text(encoding='utf-8').partition('\n## All documents\n')[2]
    assert [name for name in DOCUMENTS if f']({name})' not in listed] == []


def test_every_document_is_in_the_navigation() -> None:
    navigation = re.findall(r': ([\w/.-]+\.md)$', (ROOT / 'mkdocs.yml').read_text(encoding='utf-8'), re.MULTILINE)
    assert [name for name in DOCUMENTS if f'doc/{name}' not in navigation] == []
    assert [path for path in navigation if not (ROOT / path).is_file()] == []
