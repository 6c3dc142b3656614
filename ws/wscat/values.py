"""What the values of wscat's options may be: functions that argparse calls with the text of one."""

from __future__ import annotations

import argparse
import math
import threading


def seconds(text: str) -> float:
    """A number of seconds, which may be negative."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not -threading.TIMEOUT_MAX < number < threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f'{text!r} is no number of seconds')
    return number


def some_seconds(text: str) -> float:
    """A number of seconds above 0."""
    number = seconds(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return number


def size(text: str) -> int:
    """A whole number from 0 on."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number') from None
    if number < 0:
        raise argparse.ArgumentTypeError(f'{text} is below 0')
    return number


def count(text: str) -> int:
    """A whole number from 1 on."""
    number = size(text)
    if not number:
        raise argparse.ArgumentTypeError('0 is not above 0')
    return number


def rate(text: str) -> float:
    """A number above 0 of what happens in a second."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r} is no number above 0')
    return number
