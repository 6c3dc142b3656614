"""What setup.cfg can't say: the C accelerator. Without a compiler the package is built, and works, without it."""

from setuptools import Extension, setup

setup(ext_modules=[Extension('ws._native.speedups', ['ws/_native/speedups.c'], optional=True)])
