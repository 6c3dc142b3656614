"""Runs Autobahn's test suite against our client and our server, and prints a table of the results.

Arguments: the folder for its environment and reports, and ``--quick`` to leave out the longest cases. Fails unless
every case has run and passed, strictly, with a proper closing handshake.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional

HERE = Path(__file__).parent

#: It needs Python 2.7, and this is the last virtualenv that makes environments for it.
SUITE = 'autobahntestsuite==25.10.1'
VIRTUALENV = 'virtualenv==20.21.1'

SECTIONS = {
    1: 'Framing',
    2: 'Pings/Pongs',
    3: 'Reserved Bits',
    4: 'Opcodes',
    5: 'Fragmentation',
    6: 'UTF-8 Handling',
    7: 'Close Handling',
    9: 'Limits/Performance',
    10: 'Miscellaneous',
    12: 'Compression (different payloads)',
    13: 'Compression (different parameters)',
}
#: The cases of sections 12 and 13 with the largest messages, 1000 each: they take four fifths of the time.
LONG = [f'12.{part}.{case}' for part in range(1, 6) for case in [8, 9, 10, *range(13, 19)]]
LONG += [f'13.{part}.{case}' for part in range(1, 8) for case in [8, 9, 10, *range(13, 19)]]
ALL_CASES = 517

#: How long, in seconds, one role may take.
PATIENCE = 3600

PASSED = ('OK', 'INFORMATIONAL')
COLUMNS = ('OK', 'INFORMATIONAL', 'NON-STRICT', 'UNIMPLEMENTED', 'FAILED')

Results = dict[str, tuple[str, str]]


def find_python() -> Optional[str]:
    """A Python 2.7 that runs."""
    pyenv = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv'))
    for python in ['python2.7', 'python2', *map(str, pyenv.glob('versions/2.7*/bin/python'))]:
        check = [python, '-c', 'import sys; sys.exit(sys.version_info[:2] != (2, 7))']
        if shutil.which(python) and subprocess.run(check, capture_output=True).returncode == 0:
            return python
    return None


def install(folder: Path) -> Optional[str]:
    """Make the environment; returns what is missing for that, if anything."""
    if (folder / 'installed').exists():
        return None
    python = find_python()
    if python is None:
        return 'no Python 2.7 was found'
    if not any(map(shutil.which, ['cc', 'gcc', 'clang'])):
        return 'no C compiler was found'
    shutil.rmtree(folder, ignore_errors=True)
    maker = folder / 'virtualenv'
    steps = [
        [sys.executable, '-m', 'venv', maker],
        [maker / 'bin' / 'python', '-m', 'pip', 'install', '-qq', VIRTUALENV],
        [maker / 'bin' / 'virtualenv', '-q', '-p', python, folder / 'python2.7'],
        [folder / 'python2.7' / 'bin' / 'pip', 'install', '-qq', SUITE],
    ]
    for step in steps:
        done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(done.stdout)
            return f'this failed: {" ".join(map(str, step))}'
    (folder / 'installed').touch()
    return None


class Suite:
    """wstest, against us in one role."""

    def __init__(self, folder: Path, role: str, mode: str, spec: dict[str, object]) -> None:
        self._reports = folder / f'our-{role}'
        shutil.rmtree(self._reports, ignore_errors=True)
        self._reports.mkdir()
        spec_file = self._reports / 'spec.json'
        spec_file.write_text(json.dumps({'outdir': str(self._reports), 'cases': ['*'], **spec}))
        self._log = self._reports / 'log'
        python = folder / 'python2.7' / 'bin' / 'python'
        command = [python, '-u', HERE / 'wstest.py', '-m', mode, '-u', '0', '-s', spec_file]
        with self._log.open('w') as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def port(self) -> str:
        """Where it listens, as soon as it does."""
        while self.process.poll() is None:
            listening = re.search(r'Listening on port (\d+)', self._log.read_text())
            if listening:
                return listening[1]
            time.sleep(0.05)
        raise RuntimeError(self._log.read_text())

    def results(self) -> Results:
        """Case -> how it went, and how its closing handshake did."""
        index = self._reports / 'index.json'
        if not index.exists():
            return {}
        [cases] = json.loads(index.read_text()).values()
        return {case: (one['behavior'], one['behaviorClose']) for case, one in cases.items()}


def test_client(folder: Path, excluded: list[str]) -> Results:
    suite = Suite(folder, 'client', 'fuzzingserver', {'url': 'ws://127.0.0.1:1', 'exclude-cases': excluded})
    try:
        command = [sys.executable, HERE / 'echo_client.py', f'ws://127.0.0.1:{suite.port()}']
        subprocess.run(command, timeout=PATIENCE, check=True)
    finally:
        suite.process.kill()
        suite.process.wait()
    return suite.results()


def test_server(folder: Path, excluded: list[str]) -> Results:
    command = [sys.executable, HERE / 'echo_server.py']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        server_url = f'ws://127.0.0.1:{server.stdout.readline().strip()}'
        servers = [{'agent': 'ws', 'url': server_url}]
        suite = Suite(folder, 'server', 'fuzzingclient', {'servers': servers, 'exclude-cases': excluded})
        try:
            suite.process.wait(PATIENCE)
        finally:
            suite.process.kill()
            suite.process.wait()
            server.stdin.close()
    return suite.results()


def table(role: str, results: Results) -> Iterator[str]:
    yield ''
    yield f'{"our " + role:40}{"cases":>7}' + ''.join(f'{name:>15}' for name in [*COLUMNS, 'BAD CLOSING'])
    rows = [(f'{number:2} {title}', _counts(results, number)) for number, title in SECTIONS.items()]
    for title, counts in [*rows, ('   all', sum((counts for _, counts in rows), Counter()))]:
        figures = ''.join(f'{counts[name]:>15}' for name in [*COLUMNS, 'BAD CLOSING'])
        yield f'{title:40}{counts["cases"]:>7}{figures}'


def _counts(results: Results, section: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for case, (behavior, closing) in results.items():
        if int(case.split('.')[0]) == section:
            counts.update(['cases', behavior])
            counts['BAD CLOSING'] += closing not in PASSED
    return counts


def problems(role: str, results: Results, expected: int) -> Iterator[str]:
    if len(results) != expected:
        yield f'our {role}: {len(results)} cases have run, not {expected}'
    for case, (behavior, closing) in results.items():
        if behavior not in PASSED or closing not in PASSED:
            yield f'our {role}, case {case}: {behavior}, closing {closing}'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--quick', action='store_true')
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    missing = install(folder)
    if missing is not None:
        print(f'SKIPPED: the Autobahn test suite, as {missing}')
        return 0
    excluded = LONG if arguments.quick else []
    started = time.monotonic()
    roles: dict[str, Callable[[Path, list[str]], Results]] = {'client': test_client, 'server': test_server}
    with ThreadPoolExecutor() as pool:
        futures = {role: pool.submit(test, folder, excluded) for role, test in roles.items()}
    found = []
    for role, future in futures.items():
        results = future.result()
        print(*table(role, results), sep='\n')
        found += problems(role, results, ALL_CASES - len(excluded))
    print(f'\n{time.monotonic() - started:.0f} s; reports for browsers: {folder}/our-*/index.html')
    print(*found, sep='\n')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
