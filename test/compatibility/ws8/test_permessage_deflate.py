"""Tests P001 to P023 of ws 8's suite: what two ends agree upon about compression.

What raises Error or TypeError there, raises ValueError here, with the same text.
"""

from __future__ import annotations

from typing import Any, Optional

import pytest

from ws.protocol.extensions import Extension, format_extension, parse_extensions
from ws.protocol.permessage_deflate import DeflateOptions, Parameters, accept_offer, check_answer, make_offer

ALL = Parameters(True, True, 10, 11)
ALL_AS_TEXT = (
    'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=11'
)


def header(parameters: str) -> list[Extension]:
    """One that names the extension, with these parameters."""
    return parse_extensions('; '.join(filter(None, ('permessage-deflate', parameters))))


def answered(offer: str, **options: Any) -> Optional[Parameters]:
    """What a server with these options answers to this offer."""
    return accept_offer(DeflateOptions(**options), header(offer))


def agreed(answer: str, **options: Any) -> Parameters:
    """What a client with these options makes of this answer."""
    [extension] = header(answer)
    return check_answer(DeflateOptions(**options), extension)


# -- a client's offer -------------------------------------------------------------------------------------------------


def offer(**options: Any) -> str:
    return format_extension(make_offer(DeflateOptions(**options)).extension())


def test_p001_an_offer() -> None:
    assert offer() == 'permessage-deflate; client_max_window_bits'


def test_p002_an_offer_with_options() -> None:
    options = {
        'server_no_context_takeover': True,
        'client_no_context_takeover': True,
        'server_max_window_bits': 10,
        'client_max_window_bits': 11,
    }
    assert offer(**options) == f'permessage-deflate; {ALL_AS_TEXT}'


# -- wrong parameters, on both sides ----------------------------------------------------------------------------------


def refuses(parameters: str, text: str) -> bool:
    """Whether both ends do, with this text."""
    for end in answered, agreed:
        with pytest.raises(ValueError) as caught:
            end(parameters)
        assert str(caught.value) == text
    return True


def test_p003_a_parameter_that_comes_twice() -> None:
    twice = 'server_no_context_takeover; server_no_context_takeover'
    assert refuses(twice, 'Parameter "server_no_context_takeover" must have only a single value')


def test_p004_an_unknown_parameter() -> None:
    assert refuses('foo', 'Unknown parameter "foo"')


def test_p005_a_value_for_client_no_context_takeover() -> None:
    text = 'Invalid value for parameter "client_no_context_takeover": 10'
    assert refuses('client_no_context_takeover=10', text)


def test_p006_a_value_for_server_no_context_takeover() -> None:
    text = 'Invalid value for parameter "server_no_context_takeover": 10'
    assert refuses('server_no_context_takeover=10', text)


def test_p007_a_wrong_value_for_server_max_window_bits() -> None:
    """No value is None in the text, and true there."""
    assert refuses('server_max_window_bits=7', 'Invalid value for parameter "server_max_window_bits": 7')
    assert refuses('server_max_window_bits', 'Invalid value for parameter "server_max_window_bits": None')


# -- a server's answer ------------------------------------------------------------------------------------------------

NONE_ACCEPTED = r'^None of the extension offers can be accepted$'


def test_p008_an_offer_without_parameters() -> None:
    assert answered('') == Parameters()


def test_p009_an_offer_with_parameters() -> None:
    assert answered(ALL_AS_TEXT) == ALL


def test_p010_the_options_win() -> None:
    accepted = answered(
        'server_max_window_bits=14; client_max_window_bits=13',
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=12,
        client_max_window_bits=11,
    )
    assert accepted == Parameters(True, True, 12, 11)


def test_p011_the_first_offer_that_can_be_accepted() -> None:
    accepted = answered('server_max_window_bits=10, permessage-deflate', server_max_window_bits=11)
    assert accepted == Parameters(server_max_window_bits=11)


def test_p012_server_no_context_takeover_is_switched_off() -> None:
    with pytest.raises(ValueError, match=NONE_ACCEPTED):
        answered('server_no_context_takeover', server_no_context_takeover=False)


def test_p013_server_max_window_bits_is_switched_off() -> None:
    with pytest.raises(ValueError, match=NONE_ACCEPTED):
        answered('server_max_window_bits=10', server_max_window_bits=False)


def test_p014_a_smaller_window_than_the_server_wants() -> None:
    with pytest.raises(ValueError, match=NONE_ACCEPTED):
        answered('server_max_window_bits=10', server_max_window_bits=11)


def test_p015_a_client_that_cannot_limit_its_window() -> None:
    """Better: there the request is refused; here the connection goes on without compression, as RFC 7692 section 5.1
    has it. The client asks for nothing that it would not get."""
    assert answered('', client_max_window_bits=10) is None


def test_p016_a_wrong_value_for_client_max_window_bits() -> None:
    with pytest.raises(ValueError, match=r'^Invalid value for parameter "client_max_window_bits": 16$'):
        answered('client_max_window_bits=16')


# -- what a client makes of the answer --------------------------------------------------------------------------------


def test_p017_an_answer_without_parameters() -> None:
    assert agreed('') == Parameters()


def test_p018_an_answer_with_parameters() -> None:
    assert agreed(ALL_AS_TEXT) == ALL


def test_p019_client_no_context_takeover_is_switched_off() -> None:
    with pytest.raises(ValueError, match=r'^Unexpected parameter "client_no_context_takeover"$'):
        agreed('client_no_context_takeover', client_no_context_takeover=False)


UNEXPECTED_WINDOW = r'^Unexpected or invalid parameter "client_max_window_bits"$'


def test_p020_client_max_window_bits_is_switched_off() -> None:
    with pytest.raises(ValueError, match=UNEXPECTED_WINDOW):
        agreed('client_max_window_bits=10', client_max_window_bits=False)


def test_p021_a_larger_window_than_the_client_offered() -> None:
    with pytest.raises(ValueError, match=UNEXPECTED_WINDOW):
        agreed('client_max_window_bits=11', client_max_window_bits=10)


def test_p022_a_wrong_value_for_client_max_window_bits() -> None:
    """Without a value the parameter is for offers alone."""
    with pytest.raises(ValueError, match=r'^Invalid value for parameter "client_max_window_bits": 16$'):
        agreed('client_max_window_bits=16')
    with pytest.raises(ValueError, match=UNEXPECTED_WINDOW):
        agreed('client_max_window_bits')


def test_p023_the_clients_own_window_if_the_answer_has_none() -> None:
    assert agreed('', client_max_window_bits=10) == Parameters(client_max_window_bits=10)
