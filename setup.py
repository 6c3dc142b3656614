"""What setup.cfg can't say: the C accelerator, the wheel without it, and README.md as the package index shows it."""

import configparser
import re
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

FOLDER = Path('ws', '_native')


class BuildWheel(bdist_wheel):
    """Where the accelerator can't be compiled, the wheel is one for every platform."""

    def run(self):
        self.run_command('build_ext')
        build_ext = self.get_finalized_command('build_ext')
        names = [extension.name for extension in self.distribution.ext_modules or ()]
        if not all(Path(build_ext.get_ext_fullpath(name)).exists() for name in names):
            self.distribution.ext_modules = None
            self.root_is_pure = True
        super().run()


def description():
    """README.md. Its links lead to files beside it, which the index does not have: there, to those of this version."""
    metadata = configparser.ConfigParser()
    metadata.read('setup.cfg', encoding='utf-8')
    urls = dict(line.split(' = ') for line in metadata['metadata']['project_urls'].strip().splitlines())
    code = Path('ws', '__init__.py').read_text(encoding='utf-8')
    [version] = re.findall("^__version__ = '(.+)'$", code, re.MULTILINE)
    text = Path('README.md').read_text(encoding='utf-8')
    for start, kind in ((r'(!\[[^\]]*\]\()', 'raw'), (r'((?<!!)\[[^\]]*\]\()', 'blob')):
        text = re.sub(rf'{start}(?!\w+:|#)', rf'\1{urls["Source"]}/{kind}/v{version}/', text)
    return text


setup(
    cmdclass={'bdist_wheel': BuildWheel},
    # PyPy runs C made for CPython, and more slowly than Python.
    ext_modules=[
        Extension(
            'ws._native.speedups',
            sorted(map(str, FOLDER.glob('*.c'))),
            depends=[str(FOLDER / 'native.h')],
            optional=True,
        )
    ]
    if sys.implementation.name == 'cpython'
    else [],
    long_description=description(),
)
