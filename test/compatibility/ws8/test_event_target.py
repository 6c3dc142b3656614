"""Tests E001 to E025 of ws 8's suite: event objects.

What is an accessor without a setter in JavaScript, enumerable and configurable, is a property here that can be read and
not set, is listed by ``dir``, and that a subclass may define anew.
"""

from __future__ import annotations

import pytest

from ws.event_target import CloseEvent, ErrorEvent, Event, MessageEvent


def is_read_only(event: Event, name: str) -> bool:
    before = getattr(event, name)
    with pytest.raises(AttributeError):
        setattr(event, name, 'other')
    assert getattr(event, name) is before
    other = type('Other', (type(event),), {name: 'of the subclass'})
    assert getattr(other('foo'), name) == 'of the subclass'
    return name in dir(event)


# -- Event ------------------------------------------------------------------------------------------------------------


def test_e001_type() -> None:
    assert Event('foo').type == 'foo'


def test_e002_target_is_read_only() -> None:
    assert is_read_only(Event('foo'), 'target')


def test_e003_target_by_default() -> None:
    assert Event('foo').target is None


def test_e004_type_is_read_only() -> None:
    assert is_read_only(Event('foo'), 'type')


# -- CloseEvent -------------------------------------------------------------------------------------------------------


def test_e005_a_close_event_is_an_event() -> None:
    assert issubclass(CloseEvent, Event)


def test_e006_type_of_a_close_event() -> None:
    assert CloseEvent('foo').type == 'foo'


def test_e007_options_of_a_close_event() -> None:
    event = CloseEvent('close', {'code': 1000, 'reason': 'foo', 'wasClean': True})
    assert (event.type, event.code, event.reason, event.wasClean) == ('close', 1000, 'foo', True)


def test_e008_code_is_read_only() -> None:
    assert is_read_only(CloseEvent('close', {'code': 1000}), 'code')


def test_e009_code_by_default() -> None:
    assert CloseEvent('close').code == 0


def test_e010_reason_is_read_only() -> None:
    assert is_read_only(CloseEvent('close', {'reason': 'foo'}), 'reason')


def test_e011_reason_by_default() -> None:
    assert CloseEvent('close').reason == ''


def test_e012_was_clean_is_read_only() -> None:
    assert is_read_only(CloseEvent('close', {'wasClean': True}), 'wasClean')


def test_e013_was_clean_by_default() -> None:
    assert CloseEvent('close').wasClean is False


# -- ErrorEvent -------------------------------------------------------------------------------------------------------


def test_e014_an_error_event_is_an_event() -> None:
    assert issubclass(ErrorEvent, Event)


def test_e015_type_of_an_error_event() -> None:
    assert ErrorEvent('foo').type == 'foo'


def test_e016_options_of_an_error_event() -> None:
    error = ValueError('Oops')
    event = ErrorEvent('error', {'error': error, 'message': str(error)})
    assert (event.type, event.error, event.message) == ('error', error, 'Oops')


def test_e017_error_is_read_only() -> None:
    assert is_read_only(ErrorEvent('error', {'error': ValueError('Oops')}), 'error')


def test_e018_error_by_default() -> None:
    assert ErrorEvent('error').error is None


def test_e019_message_is_read_only() -> None:
    assert is_read_only(ErrorEvent('error', {'message': 'Oops'}), 'message')


def test_e020_message_by_default() -> None:
    assert ErrorEvent('error').message == ''


# -- MessageEvent -----------------------------------------------------------------------------------------------------


def test_e021_a_message_event_is_an_event() -> None:
    assert issubclass(MessageEvent, Event)


def test_e022_type_of_a_message_event() -> None:
    assert MessageEvent('foo').type == 'foo'


def test_e023_options_of_a_message_event() -> None:
    event = MessageEvent('message', {'data': 'bar'})
    assert (event.type, event.data) == ('message', 'bar')


def test_e024_data_is_read_only() -> None:
    assert is_read_only(MessageEvent('message', {'data': 'bar'}), 'data')


def test_e025_data_by_default() -> None:
    assert MessageEvent('message').data is None
