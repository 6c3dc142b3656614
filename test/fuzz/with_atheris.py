"""One target under atheris, which ends the process: ``with_atheris.py target options... folders...``, libFuzzer's."""

import sys

import atheris

with atheris.instrument_imports(include=['ws', 'targets']):
    from targets import TARGETS

name = sys.argv.pop(1)
atheris.Setup(sys.argv, TARGETS[name][0])
atheris.Fuzz()
