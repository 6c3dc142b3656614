"""Every example of doc/compression.md does what the text around it says."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest
from documents import Checks, Runner, connect

from ws.options import CLIENT_OPTIONS, DEFLATE_OPTIONS, SERVER_OPTIONS

COMPRESSION = Checks('doc/compression.md')
TEXT = COMPRESSION.document.path.read_text(encoding='utf-8')


@pytest.mark.parametrize('name', COMPRESSION.names())
def test_example(name: str, tmp_path: Path) -> None:
    COMPRESSION.run(name, tmp_path)


def test_its_figures_are_those_of_the_code() -> None:
    assert (CLIENT_OPTIONS['perMessageDeflate'], SERVER_OPTIONS['perMessageDeflate']) == (True, False)
    assert f'`threshold` | bytes, {DEFLATE_OPTIONS["threshold"]}:' in TEXT
    assert zlib.DEF_MEM_LEVEL == 8
    assert '8 by default' in TEXT
    assert CLIENT_OPTIONS['maxPayload'] == 100 << 20
    assert 'the default of 100 MiB' in TEXT


def test_every_option_has_its_row() -> None:
    rows = re.findall(r'^\| (`\w+`(?:, `\w+`)*) \| ', TEXT, re.MULTILINE)
    assert set(DEFLATE_OPTIONS) <= {name for row in rows for name in re.findall(r'\w+', row)}


@COMPRESSION.check('Turning it on')
def _(run: Runner) -> None:
    program, port = run.serve()
    for option, extensions in ((True, 'permessage-deflate'), (False, '')):
        ws, log = connect(port, perMessageDeflate=option)
        assert log.until('message')[-1][1].startswith('Now is the time')
        assert log.get()[1] == '\N{WHITE SMILING FACE}'
        assert (ws.bytesReceived < 1000) is option
        assert program.line().strip() == f'extensions: {extensions}'.strip()
    program.stops()


@COMPRESSION.check('Settings')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    log.until('open')
    assert ws.extensions == 'permessage-deflate'
    ws.send('hello' * 1000)
    assert log.get()[1] == 'hello' * 1000
    assert ws.bytesReceived < 100
    program.stops()
