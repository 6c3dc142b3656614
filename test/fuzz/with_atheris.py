"""One target under atheris, which ends the process: ``with_atheris.py target options... folders...``, libFuzzer's."""

import sys

import atheris

with atheris.instrument_imports(include=['ws', 'targets', 'whole']):
    from targets import TARGETS
    from whole import WHOLE

name = sys.argv.pop(1)
atheris.Setup(sys.argv, {**TARGETS, **WHOLE}[name][0])
atheris.Fuzz()
