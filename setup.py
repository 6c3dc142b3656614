"""What setup.cfg can't say: the C accelerator. Without a compiler the package is built, and works, without it."""

from pathlib import Path

from setuptools import Extension, setup

FOLDER = Path('ws', '_native')

setup(
    ext_modules=[
        Extension(
            'ws._native.speedups',
            sorted(map(str, FOLDER.glob('*.c'))),
            depends=[str(FOLDER / 'native.h')],
            optional=True,
        )
    ]
)
