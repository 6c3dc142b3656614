"""What a load test has found out, in numbers: pure, and nothing about how they were come by."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple, Optional

#: Bits of a duration in nanoseconds that are kept: enough for a precision of 0.2 %.
_KEPT_BITS = 10


class Durations:
    """So many durations, in seconds. Takes little memory, however many there are."""

    def __init__(self) -> None:
        self.count: int = 0
        #: The longest one, exactly.
        self.longest: float = 0.0
        self._total = 0.0
        self._counts: Counter[int] = Counter()  # by the least of those that count as the same

    def add(self, seconds: float) -> None:
        seconds = max(seconds, 0.0)
        self.count += 1
        self._total += seconds
        self.longest = max(self.longest, seconds)
        nanoseconds = int(seconds * 1e9)
        dropped = _dropped_bits(nanoseconds)
        self._counts[nanoseconds >> dropped << dropped] += 1

    def mean(self) -> float:
        """Exactly. There must be one."""
        return self._total / self.count

    def percentile(self, percent: int) -> float:
        """The shortest duration that is not exceeded by so many of a hundred (nearest rank). There must be one."""
        rank = max(1, -(-self.count * percent // 100))
        counted = 0
        for least in sorted(self._counts):
            counted += self._counts[least]
            if counted >= rank:
                most = least + (1 << _dropped_bits(least)) - 1
                return min(most / 1e9, self.longest)
        raise ValueError('there is no duration')


def _dropped_bits(nanoseconds: int) -> int:
    return max(0, nanoseconds.bit_length() - _KEPT_BITS)


class Plan(NamedTuple):
    """What a load test is to do."""

    connections: int
    #: Seconds.
    duration: float
    #: How many at most.
    messages: Optional[int]
    #: Bytes.
    size: int
    #: On each connection; has no meaning if there is a rate.
    in_flight: int
    #: Messages per second in all.
    rate: Optional[float]
    binary: bool


class Results:
    """What has come of it, so far."""

    def __init__(self, url: str, plan: Plan) -> None:
        self.url = url
        self.plan = plan
        # Connections.
        self.opened: int = 0
        self.failed: int = 0
        self.lost: int = 0
        # Messages.
        self.sent: int = 0
        self.returned: int = 0
        self.missing: int = 0
        self.others: int = 0
        #: From the first message to the last that has returned.
        self.seconds: float = 0.0
        self.opening: Durations = Durations()
        self.latency: Durations = Durations()
        #: What went wrong -> how often.
        self.errors: Counter[str] = Counter()
        self.interrupted: bool = False
        #: Why they say little.
        self.complaint: Optional[str] = None

    @property
    def good(self) -> bool:
        return not (self.failed or self.lost or self.missing or self.errors or self.complaint)

    def per_second(self) -> float:
        """Messages that have returned."""
        return self.returned / self.seconds if self.seconds else 0.0


_PERCENTS = (50, 90, 99)


def table(results: Results) -> str:
    """For people."""
    lines = [
        _described(results),
        '',
        f'Connections  {results.opened:,} opened, {results.failed:,} failed, {results.lost:,} lost',
        f'Messages     {results.sent:,} sent, {results.returned:,} came back, {results.missing:,} missing'
        + (f', {results.others:,} others came' if results.others else ''),
        f'Rate         {results.per_second():,.0f} messages per second, '
        f'{results.per_second() * results.plan.size / 1e6:,.2f} MB/s each way, in {results.seconds:.1f} s',
        '',
        ' ' * 12 + ''.join(f'{name:>12}' for name in [*(f'p{percent}' for percent in _PERCENTS), 'max']),
        _row('Latency', results.latency),
        _row('Opening', results.opening),
    ]
    if results.errors:
        lines += ['', 'Errors']
        lines += [f'{number:>11,}  {text}' for text, number in results.errors.most_common()]
    if results.interrupted:
        lines += ['', 'Interrupted: this is what was measured until then.']
    return '\n'.join(lines)


def _described(results: Results) -> str:
    plan = results.plan
    kind = 'binary' if plan.binary else 'text'
    how = f'{plan.in_flight} in flight on each' if plan.rate is None else f'{plan.rate:g} per second'
    connections = '1 connection' if plan.connections == 1 else f'{plan.connections:,} connections'
    size = '1 byte' if plan.size == 1 else f'{plan.size:,} bytes'
    return f'{connections} to {results.url}; {kind} messages of {size}, {how}'


def _row(name: str, durations: Durations) -> str:
    if not durations.count:
        return f'{name:<12}' + '           -' * (len(_PERCENTS) + 1)
    figures = [*(durations.percentile(percent) for percent in _PERCENTS), durations.longest]
    return f'{name:<12}' + ''.join(f'{_milliseconds(seconds):>12}' for seconds in figures)


def _milliseconds(seconds: float) -> str:
    """With three figures or more."""
    number = seconds * 1000
    decimals = 0 if number >= 100 else 1 if number >= 10 else 2 if number >= 1 else 3
    return f'{number:,.{decimals}f} ms'


def as_json(results: Results) -> str:
    """For programs. Durations are in milliseconds, but for the options and `seconds`."""
    plan = results.plan
    return json.dumps(
        {
            'url': results.url,
            'options': {
                'connections': plan.connections,
                'duration': plan.duration,
                'messages': plan.messages,
                'size': plan.size,
                'inFlight': plan.in_flight if plan.rate is None else None,
                'rate': plan.rate,
                'binary': plan.binary,
            },
            'connections': {'opened': results.opened, 'failed': results.failed, 'lost': results.lost},
            'messages': {
                'sent': results.sent,
                'returned': results.returned,
                'missing': results.missing,
                'others': results.others,
            },
            'seconds': results.seconds,
            'messagesPerSecond': results.per_second(),
            'bytesPerSecond': results.per_second() * plan.size,
            'latency': _figures(results.latency),
            'opening': _figures(results.opening),
            'errors': dict(results.errors),
            'interrupted': results.interrupted,
            'complaint': results.complaint,
        },
        indent=2,
    )


def _figures(durations: Durations) -> Optional[dict[str, Any]]:
    if not durations.count:
        return None
    figures = {f'p{percent}': durations.percentile(percent) for percent in _PERCENTS}
    figures.update(max=durations.longest, mean=durations.mean())
    return {name: round(seconds * 1000, 6) for name, seconds in figures.items()}
