"""The command line: what it may say, and what it may not."""

from __future__ import annotations

import pytest

from ws.wscat.options import UsageError, mode_of, parse
from ws.wscat.usage import BENCH, CONNECT, LISTEN, all_options

#: What Node's wscat 6.1 takes.
NODES = (
    '-V --version --auth --ca --cert --host --key --max-redirects --no-color --passphrase --proxy --slash -c '
    '--connect -H --header -l --listen -L --location -n --no-check -o --origin -p --protocol -P --show-ping-pong -s '
    '--subprotocol -w --wait -x --execute -h --help'
)


def test_whatever_nodes_wscat_takes() -> None:
    flags = {flag for option in all_options() for flag in option.flags}
    assert set(NODES.split()) <= flags


@pytest.mark.parametrize('arguments', [
    ['localhost:8080'],
    ['-c', 'localhost:8080'],
    ['--connect=localhost:8080'],
    ['-x', 'hello', 'localhost:8080'],
    ['localhost:8080', '-x', 'hello'],
    ['-n', '-x', 'one', 'localhost:8080', '-x', 'two'],
])  # fmt: skip
def test_where_the_url_may_stand(arguments: list[str]) -> None:
    options = parse(arguments)
    assert (options.connect, mode_of(options)) == ('localhost:8080', CONNECT)


def test_modes() -> None:
    assert mode_of(parse(['-l', '8080'])) == LISTEN
    assert mode_of(parse(['--bench', 'localhost:8080'])) == BENCH
    assert mode_of(parse(['-c', 'localhost:8080', '--bench'])) == BENCH


@pytest.mark.parametrize(('arguments', 'complaint'), [
    (['a', '-c', 'b'], 'there are two URLs: use one, with or without --connect'),
    (['a', '-l', '1'], 'use either --listen or a URL'),
    (['-l', '1', '--bench'], 'use either --listen or --bench'),
    (['a', 'b'], 'unrecognized arguments: b'),
    (['--binary'], 'say where to connect to, by a URL, or where to listen, by --listen PORT'),
    (['--bench'], 'say where to connect to, by a URL, or where to listen, by --listen PORT'),
    (['-l', '1', '--reconnect'], '--reconnect works with --connect only'),
    (['-l', '1', '--size', '9'], '--size works with --bench only'),
    (['a', '--connections', '9'], '--connections works with --bench only'),
    (['a', '--bench', '-x', 'b'], '--execute does not work with --bench'),
    (['a', '--bench', '--output', 'b'], '--output does not work with --bench'),
    (['a', '--bench', '--rate', '9', '--in-flight', '2'], 'use either --rate or --in-flight'),
    (['a', '--raw', '-t'], '--timestamps: --raw adds nothing to the output'),
    (['a', '--ping-interval', '0'], 'argument --ping-interval: 0 is not above 0'),
    (['a', '--ping-interval', 'x'], "argument --ping-interval: 'x' is no number of seconds"),
    (['a', '--bench', '--connections', '0'], 'argument --connections: 0 is not above 0'),
    (['a', '--bench', '--size', '-1'], 'argument --size: -1 is below 0'),
    (['a', '--bench', '--messages', '1.5'], "argument --messages: '1.5' is no whole number"),
    (['a', '--bench', '--rate', 'inf'], "argument --rate: 'inf' is no number above 0"),
    (['a', '--bench', '--rate', 'x'], "argument --rate: 'x' is no number above 0"),
])  # fmt: skip
def test_what_can_not_be(arguments: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(arguments)
    assert str(raised.value) == complaint


@pytest.mark.parametrize('arguments', [[], ['-h'], ['-V', '-x', 'a'], ['--man'], ['--completion', 'zsh']])
def test_texts_need_no_url(arguments: list[str]) -> None:
    assert parse(arguments).connect is None
