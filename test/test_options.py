"""Options: a dict, keywords, attributes; what is unknown or wrong."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from ws.options import NO_EFFECT, Options, count, deflate_options, merge, milliseconds
from ws.protocol.permessage_deflate import DeflateOptions

DEFAULTS = {'port': None, 'host': 'localhost', 'maxPayload': 5}


def test_items_are_attributes() -> None:
    options = Options(port=1)
    assert options.port == options['port'] == 1
    with pytest.raises(AttributeError, match='host'):
        _ = options.host


def test_what_is_given_overrides_the_defaults_and_keywords_override_both() -> None:
    given = {'port': 1, 'host': 'a'}
    assert merge('X', DEFAULTS, given, {'host': 'b'}) == {'port': 1, 'host': 'b', 'maxPayload': 5}
    assert given == {'port': 1, 'host': 'a'}
    assert DEFAULTS == {'port': None, 'host': 'localhost', 'maxPayload': 5}


def test_none_counts_as_not_given() -> None:
    assert merge('X', DEFAULTS, {'host': None}, {'maxPayload': None}) == DEFAULTS
    assert merge('X', DEFAULTS, None, {}) == DEFAULTS


def test_zero_and_false_are_given() -> None:
    assert merge('X', DEFAULTS, {'port': 0, 'host': False, 'maxPayload': 0}, {}) == {
        'port': 0,
        'host': False,
        'maxPayload': 0,
    }


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('maxpayload', "X has no option 'maxpayload': ignored; did you mean 'maxPayload'?"),
        ('prot', "X has no option 'prot': ignored; did you mean 'port'?"),
        ('zzz', "X has no option 'zzz': ignored"),
    ],
)
def test_an_unknown_name_is_ignored_with_a_warning(name: str, text: str) -> None:
    for given, keywords in (({name: 1}, {}), (None, {name: 1})):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            assert merge('X', DEFAULTS, given, keywords) == DEFAULTS
        assert [str(warning.message) for warning in caught] == [text]


@pytest.mark.parametrize('owner', NO_EFFECT)
def test_what_has_no_effect_is_taken_in_silence(owner: str) -> None:
    for name in NO_EFFECT[owner]:
        assert merge(owner, DEFAULTS, {name: 0}, {name: None}) == DEFAULTS
        with pytest.warns(UserWarning, match=f"X has no option '{name}': ignored"):
            merge('X', DEFAULTS, {name: 0}, {})


def test_text_is_always_checked() -> None:
    with pytest.raises(ValueError, match=r'^skipUTF8Validation: text is always checked'):
        merge('WebSocket', DEFAULTS, None, {'skipUTF8Validation': True})


@pytest.mark.parametrize('given', ['port', 5, [('port', 1)]])
def test_what_is_no_mapping_raises(given: Any) -> None:
    with pytest.raises(TypeError, match='the options of X must be a dict'):
        merge('X', DEFAULTS, given, {})


@pytest.mark.parametrize('value', [0, 1, 2.5])
def test_milliseconds(value: float) -> None:
    assert milliseconds(Options(t=value), 't') == value


@pytest.mark.parametrize(
    ('value', 'error'),
    [
        ('1', TypeError),
        (True, TypeError),
        (None, TypeError),
        (-1, ValueError),
        (float('inf'), ValueError),
        (float('nan'), ValueError),
        pytest.param(10**400, ValueError, id='more than a float'),
    ],
)
def test_what_is_no_time(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match='t must be a number of milliseconds'):
        milliseconds(Options(t=value), 't')


def test_count() -> None:
    assert [count(Options(n=value), 'n') for value in (0, 7)] == [0, 7]


@pytest.mark.parametrize(('value', 'error'), [(1.0, TypeError), ('1', TypeError), (True, TypeError), (-1, ValueError)])
def test_what_is_no_count(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match='n must'):
        count(Options(n=value), 'n')


def test_deflate_on_and_off() -> None:
    assert deflate_options(Options(perMessageDeflate=False)) is None
    assert deflate_options(Options(perMessageDeflate=True)) == DeflateOptions()
    assert deflate_options(Options(perMessageDeflate={})) == DeflateOptions()


def test_deflate_options() -> None:
    given = {
        'serverNoContextTakeover': True,
        'clientNoContextTakeover': False,
        'serverMaxWindowBits': 8,
        'clientMaxWindowBits': 15,
        'threshold': 0,
        'zlibDeflateOptions': {'level': 9, 'memLevel': 1, 'strategy': 4, 'dictionary': bytearray(b'ours')},
        'zlibInflateOptions': {'dictionary': b'theirs'},
    }
    expected = DeflateOptions(True, False, 8, 15, 0, 9, 1, 4, b'ours', b'theirs')
    assert deflate_options(Options(perMessageDeflate=given)) == expected
    bits = {'serverMaxWindowBits': False, 'clientMaxWindowBits': True}
    assert deflate_options(Options(perMessageDeflate=bits)) == DeflateOptions(server_max_window_bits=False)
    nothing = dict.fromkeys(given)
    assert deflate_options(Options(perMessageDeflate=nothing)) == DeflateOptions()


@pytest.mark.parametrize(
    ('value', 'error', 'text'),
    [
        (1, TypeError, 'perMessageDeflate must be a bool or a dict, not int'),
        ('on', TypeError, 'perMessageDeflate must be a bool or a dict, not str'),
        ({'serverNoContextTakeover': 1}, TypeError, 'serverNoContextTakeover must be a bool, not int'),
        ({'clientNoContextTakeover': 'yes'}, TypeError, 'clientNoContextTakeover must be a bool, not str'),
        ({'serverMaxWindowBits': 7}, ValueError, 'serverMaxWindowBits must be from 8 to 15, not 7'),
        ({'clientMaxWindowBits': 16}, ValueError, 'clientMaxWindowBits must be from 8 to 15, not 16'),
        ({'clientMaxWindowBits': 10.0}, TypeError, 'clientMaxWindowBits must be an int, not float'),
        ({'threshold': -1}, ValueError, 'threshold must not be negative: -1'),
        ({'threshold': '1024'}, TypeError, 'threshold must be an int, not str'),
        ({'zlibDeflateOptions': 3}, TypeError, 'the options of zlibDeflateOptions must be a dict'),
        ({'zlibDeflateOptions': {'level': 10}}, ValueError, 'level must be from -1 to 9, not 10'),
        ({'zlibDeflateOptions': {'level': -2}}, ValueError, 'level must be from -1 to 9, not -2'),
        ({'zlibDeflateOptions': {'memLevel': 0}}, ValueError, 'memLevel must be from 1 to 9, not 0'),
        ({'zlibDeflateOptions': {'strategy': 5}}, ValueError, 'strategy must be from 0 to 4, not 5'),
        ({'zlibDeflateOptions': {'strategy': True}}, TypeError, 'strategy must be an int, not bool'),
        ({'zlibInflateOptions': {'dictionary': 'x'}}, TypeError, 'dictionary must be bytes, not str'),
    ],
)
def test_wrong_deflate_options(value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f'^{text}'):
        deflate_options(Options(perMessageDeflate=value))
