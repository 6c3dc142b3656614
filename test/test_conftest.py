"""What a run of the tests ends with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT
from support import PYTHONPATH

TESTS = """
import pytest

@pytest.mark.skipif({skipped}, reason='no wings')
@pytest.mark.parametrize('number', range(3))
def test_flying(number):
    pass

def test_diving():
    if {skipped}:
        pytest.skip('no water')
"""


@pytest.mark.parametrize(
    ('skipped', 'end'), [(True, ['SKIPPED 1: no water', 'SKIPPED 3: no wings', '4 skipped']), (False, ['4 passed'])]
)
def test_it_ends_with_what_was_skipped_and_why(tmp_path: Path, skipped: bool, end: list[str]) -> None:
    (tmp_path / 'test_it.py').write_text(TESTS.format(skipped=skipped))
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-p', 'conftest', '-p', 'no:cacheprovider', '-q', '-n', '1', 'test_it.py'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT / 'test'), PYTHONPATH])},
        capture_output=True,
        encoding='utf-8',
        check=True,
    )
    lines = [line.partition(' in ')[0] for line in done.stdout.splitlines()]
    assert lines[-len(end) :] == end
    assert ('skipped' in done.stdout) == skipped
