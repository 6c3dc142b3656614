"""Fuzzes each of the targets for some seconds: with atheris if that is installed, else with hypothesis.

    python run.py [seconds [target...]]

Ends with status 1, and what went wrong, if a target raises. All targets by default. What atheris found is kept in
.fuzz/ and used again.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from targets import TARGETS as PARSERS
from targets import changed
from whole import WHOLE

TARGETS = {**PARSERS, **WHOLE}
HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent.parent / '.fuzz'


def with_atheris(name: str, seconds: int) -> bool:
    """Whether nothing was found. In a process of its own, which atheris ends."""
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name][1]):
        (corpus / f'seed-{number}').write_bytes(seed)
    command = [sys.executable, HERE / 'with_atheris.py', name, '-max_len=2048', f'-max_total_time={seconds}']
    command += [f'-artifact_prefix={CORPUS}/{name}-', '-verbosity=0', '-print_final_stats=1', corpus]
    return subprocess.run(command).returncode == 0


def with_hypothesis(name: str, seconds: float) -> bool:
    """Whether nothing was found."""
    target, seeds = TARGETS[name]
    until = time.monotonic() + seconds

    @settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(changed(seeds))
    def test(data: bytes) -> None:
        target(data)

    rounds = 0
    while time.monotonic() < until:
        test()
        rounds += 1
    print(f'{name}: {rounds * 1000} examples')
    return True


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    atheris = importlib.util.find_spec('atheris') is not None
    print(f'with {"atheris" if atheris else "hypothesis, as atheris is not installed"}, {seconds} s for each target')
    fuzz = with_atheris if atheris else with_hypothesis
    bad = [name for name in sys.argv[2:] or TARGETS if not fuzz(name, seconds)]
    print(f'something was found: {", ".join(bad)}' if bad else 'nothing was found')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
