"""Where redirects lead, and which headers go along, by the rules of ws 8; without a socket."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.client.redirects import Redirects, dropped_headers, is_redirect, resolve
from ws.errors import HandshakeError
from ws.protocol.handshake import ClientHandshake
from ws.protocol.http import Headers, Response
from ws.protocol.url import Address, parse_url

BASE = 'ws://ann:secret@example.com:81/a/b/c?q=1'


def answer(location: Optional[str], status: int = 302) -> Response:
    return Response(status, '', '1.1', Headers({} if location is None else {'location': location}), [])


# -- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('location', 'leads_to'),
    [
        # RFC 3986 section 5.4
        ('g', 'ws://ann:secret@example.com:81/a/b/g'),
        ('./g', 'ws://ann:secret@example.com:81/a/b/g'),
        ('g/', 'ws://ann:secret@example.com:81/a/b/g/'),
        ('/g', 'ws://ann:secret@example.com:81/g'),
        ('//g', 'ws://g/'),
        ('//g:99/h?i', 'ws://g:99/h?i'),
        ('?y', 'ws://ann:secret@example.com:81/a/b/c?y'),
        ('g?y', 'ws://ann:secret@example.com:81/a/b/g?y'),
        ('g?y/../x', 'ws://ann:secret@example.com:81/a/b/g?y/../x'),
        (';x', 'ws://ann:secret@example.com:81/a/b/;x'),
        ('.', 'ws://ann:secret@example.com:81/a/b/'),
        ('..', 'ws://ann:secret@example.com:81/a/'),
        ('../g', 'ws://ann:secret@example.com:81/a/g'),
        ('../../../../g', 'ws://ann:secret@example.com:81/g'),
        ('/./g', 'ws://ann:secret@example.com:81/g'),
        ('g..', 'ws://ann:secret@example.com:81/a/b/g..'),
        ('./g/.', 'ws://ann:secret@example.com:81/a/b/g/'),
        ('g/./h', 'ws://ann:secret@example.com:81/a/b/g/h'),
        ('g/../h', 'ws://ann:secret@example.com:81/a/b/h'),
        ('%2e%2E/g', 'ws://ann:secret@example.com:81/a/g'),
        ('//g//h', 'ws://g//h'),
        # absolute
        ('ws://other', 'ws://other/'),
        ('WS://OTHER:80/a/../b', 'ws://other/b'),
        ('http://other:443/x', 'ws://other:443/x'),
        ('https://other/x?y', 'wss://other/x?y'),
        ('wss://other:443', 'wss://other/'),
        ('wss://u:p@other/', 'wss://u:p@other/'),
        ('ws://u:@other/', 'ws://u@other/'),
        ('ws://:@other/', 'ws://other/'),
        ('ws://:p@other/', 'ws://:p@other/'),
        ('ws://other//a@b', 'ws://other//a@b'),
        ('ws://[::1]:9/', 'ws://[::1]:9/'),
        ('ws+unix:/tmp/s', 'ws+unix:/tmp/s'),
        ('ws+unix:/tmp/s:/a?b', 'ws+unix:/tmp/s:/a?b'),
        # what browsers repair
        (' /a b ', 'ws://ann:secret@example.com:81/a%20b'),
        ('/caf\xe9', 'ws://ann:secret@example.com:81/caf%C3%A9'),
    ],
)
def test_where_it_leads(location: str, leads_to: str) -> None:
    assert resolve(location, BASE) == leads_to


@pytest.mark.parametrize(
    ('base', 'location', 'leads_to'),
    [
        ('ws://host', '/x', 'ws://host/x'),
        ('ws://host', 'x', 'ws://host/x'),
        ('ws://host', '?x', 'ws://host/?x'),
        ('ws://host?y', 'x', 'ws://host/x'),
        ('wss://host:443/y', '/x', 'wss://host/x'),
        ('http://host/', '//other', 'ws://other/'),
        ('https://host/', '//other', 'wss://other/'),
        # On a UNIX socket, as a path is what is asked for there.
        ('ws+unix:/tmp/s', '/x', 'ws+unix:/tmp/s:/x'),
        ('ws+unix:///tmp/s', 'x?y', 'ws+unix:///tmp/s:/x?y'),
        ('ws+unix:/tmp/s:/a/b?c', '../x', 'ws+unix:/tmp/s:/x'),
        ('ws+unix:/tmp/s:/a/b?c', '?x', 'ws+unix:/tmp/s:/a/b?x'),
        ('ws+unix:/tmp/s', '?x', 'ws+unix:/tmp/s:/?x'),
        ('ws+unix:/tmp/s', 'ws://host', 'ws://host/'),
    ],
)
def test_from_where(base: str, location: str, leads_to: str) -> None:
    assert resolve(location, base) == leads_to


@pytest.mark.parametrize(
    'location',
    [
        'ws://', 'ws:', 'ws:x', 'wss:/x', '///x', '//', 'bad-scheme://localhost', 'mailto:a@b', 'javascript:0',
        'ws://a b/', 'ws://host:0/', 'ws://host:65536/', 'ws://host:x/', 'ws://[::1', 'ws://[1]', 'ws://a@', 'ws://%/',
        'ws+unix:', 'ws+unix:x', 'ws+unix://host/x',
        # To browsers a slash: what looks like a path names another host.
        '\\x', '/\\evil.example', '\\\\evil.example', 'ws://evil.example\\@example.com', '/a\\..\\b',
        '/\tx', '/x\x0b', '\x01/',
        # RFC 6455 section 3
        'x#y', '#', '#y', 'ws://host/#', '?x#y', '//host#',
    ],
)  # fmt: skip
@pytest.mark.parametrize('base', [BASE, 'ws+unix:/tmp/s:/a'])
def test_it_leads_nowhere(base: str, location: str) -> None:
    with pytest.raises(ValueError, match=r'^invalid url'):
        resolve(location, base)


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_any_location_is_an_address_or_a_value_error(location: str) -> None:
    try:
        url = resolve(location, BASE)
    except ValueError as error:
        assert str(error).startswith('invalid url')
    else:
        parse_url(url)
        # What is resolved once means the same when it is resolved again.
        assert resolve(url, 'ws://elsewhere') == url


@pytest.mark.parametrize('status', [300, 301, 302, 303, 304, 305, 307, 308, 399])
def test_what_is_a_redirect(status: int) -> None:
    assert is_redirect(answer('/', status))
    assert not is_redirect(answer('', status))
    assert not is_redirect(answer(None, status))


@pytest.mark.parametrize('status', [101, 200, 201, 400, 401, 503])
def test_what_is_none(status: int) -> None:
    assert not is_redirect(answer('/', status))


# -- what goes along --------------------------------------------------------------------------------------------------

NOTHING: set[str] = set()
CREDENTIALS = {'authorization', 'cookie'}
ALL = {*CREDENTIALS, 'host'}


@pytest.mark.parametrize(
    ('first', 'target', 'dropped'),
    [
        ('ws://a', 'ws://a/other?x', NOTHING),
        ('ws://a', 'ws://A:80', NOTHING),
        ('ws://a:81', 'ws://a:81/x', NOTHING),
        ('ws://u:p@a', 'ws://v:q@a', NOTHING),
        ('wss://a', 'wss://a:443/x', NOTHING),
        # Security gained is none lost. The default ports of both schemes are as one.
        ('ws://a', 'wss://a', NOTHING),
        ('ws://a:81', 'wss://a:81', NOTHING),
        ('ws://a:443', 'wss://a', ALL),
        # Security lost
        ('wss://a', 'ws://a', CREDENTIALS),
        ('wss://a:81', 'ws://a:81', CREDENTIALS),
        ('wss://a', 'ws://a:443', ALL),
        # another host
        ('ws://a', 'ws://b', ALL),
        ('ws://a', 'ws://x.a', ALL),
        ('ws://x.a', 'ws://a', ALL),
        ('ws://a', 'ws://a.', ALL),
        ('wss://a', 'wss://b', ALL),
        ('wss://a', 'ws://b', ALL),
        ('ws://127.0.0.1', 'ws://localhost', ALL),
        ('ws://127.0.0.1', 'ws://127.1', ALL),
        ('ws://[::1]', 'ws://localhost', ALL),
        # another port
        ('ws://a:81', 'ws://a:82', ALL),
        ('ws://a', 'ws://a:81', ALL),
        # UNIX sockets
        ('ws+unix:/s', 'ws+unix:/s:/x', NOTHING),
        ('ws+unix:/s', 'ws+unix:///s', NOTHING),
        ('ws+unix:/s', 'ws+unix:/t', ALL),
        ('ws+unix:/s', 'ws://localhost', ALL),
        ('ws://localhost', 'ws+unix:/s', ALL),
        ('wss://localhost', 'ws+unix:/s', ALL),
    ],
)
def test_what_is_dropped(first: str, target: str, dropped: set[str]) -> None:
    assert dropped_headers(parse_url(first), parse_url(target)) == dropped


def followed(first: str, *locations: str, with_all: bool = False, **options: Any) -> ClientHandshake:
    """The handshake at the end."""
    redirects = Redirects(first, parse_url(first), 10)

    def make(address: Address) -> ClientHandshake:
        return ClientHandshake(address=address, **options)

    for location in locations:
        handshake = redirects.handshake(redirects.follow(answer(location)), make, with_all)
    return handshake


def sent(handshake: ClientHandshake, *names: str) -> dict[str, str]:
    lines = [line.split(': ', 1) for line in handshake.fields.lines()]
    return {name.lower(): value for name, value in lines if name.lower() in names}


HEADERS = {'Authorization': 'mine', 'COOKIE': 'a=b', 'host': 'fake', 'X-Own': '1', 'Proxy-Authorization': 'p'}
NAMES = ('authorization', 'cookie', 'host', 'x-own', 'proxy-authorization')
KEPT = {'x-own': '1', 'proxy-authorization': 'p'}


def test_headers_of_the_first_request() -> None:
    all_of_them = {'authorization': 'mine', 'cookie': 'a=b', 'host': 'fake', **KEPT}
    assert sent(followed('wss://a', '/x', headers=HEADERS), *NAMES) == all_of_them
    assert sent(followed('wss://a', 'ws://b', headers=HEADERS, with_all=True), *NAMES) == all_of_them
    assert sent(followed('wss://a', 'ws://a', headers=HEADERS), *NAMES) == {'host': 'fake', **KEPT}
    assert sent(followed('wss://a', 'wss://b:8', headers=HEADERS), *NAMES) == {'host': 'b:8', **KEPT}
    assert sent(followed('wss://a', 'wss://b', host='fake'), 'host') == {'host': 'b'}
    assert sent(followed('wss://a', 'wss://a/b', host='fake'), 'host') == {'host': 'fake'}
    assert sent(followed('wss://a', 'wss://b', headers={'Host': []}), 'host') == {'host': 'b'}


def test_each_request_is_compared_with_the_first_one() -> None:
    """Whoever sends it back, the first host knows these secrets already."""
    handshake = followed('ws://a', 'ws://b', 'ws://a/x', headers=HEADERS)
    assert sent(handshake, 'authorization', 'host') == {'authorization': 'mine', 'host': 'fake'}
    assert sent(followed('wss://a', 'ws://a', '/x', headers=HEADERS), 'authorization') == {}


BASIC = {'u:p': 'Basic dTpw', 'v:q': 'Basic djpx'}


def test_the_first_credentials_in_an_address_count() -> None:
    def authorization(*urls: str, **options: Any) -> Optional[str]:
        return sent(followed(*urls, **options), 'authorization').get('authorization')

    assert authorization('ws://u:p@a', '/x') == BASIC['u:p']
    assert authorization('ws://u:p@a', 'ws://a/x') == BASIC['u:p']
    assert authorization('ws://u:p@a', 'ws://v:q@a/x') == BASIC['u:p']
    assert authorization('ws://a', 'ws://v:q@a/x') == BASIC['v:q']
    assert authorization('ws://a', 'ws://v:q@a/x', 'ws://a/y') == BASIC['v:q']
    assert authorization('ws://a', 'ws://v:q@a/x', 'ws://u:p@a/y') == BASIC['v:q']
    # Elsewhere not even those that the server has named.
    assert authorization('ws://u:p@a', 'ws://b') is None
    assert authorization('ws://u:p@a', 'ws://v:q@b') is None
    assert authorization('ws://a', 'ws://v:q@b') is None
    assert authorization('ws://a', 'ws://v:q@b', 'ws://u:p@a') == BASIC['u:p']
    assert authorization('ws://u:p@a', 'ws://v:q@b', 'ws://a') == BASIC['u:p']
    # With a listener, everything goes there.
    assert authorization('ws://u:p@a', 'ws://b', with_all=True) == BASIC['u:p']
    assert authorization('ws://a', 'ws://v:q@b', with_all=True) == BASIC['v:q']
    # A header counts for more.
    assert authorization('ws://u:p@a', 'ws://v:q@a', headers={'authorization': 'mine'}) == 'mine'


def test_there_is_a_limit() -> None:
    redirects = Redirects('ws://a', parse_url('ws://a'), 2)
    for path in 'x', 'y':
        redirects.follow(answer(path))
        assert redirects.url == f'ws://a/{path}'
    with pytest.raises(HandshakeError, match=r'^Maximum redirects exceeded$'):
        redirects.follow(answer('z'))
    with pytest.raises(HandshakeError):
        Redirects('ws://a', parse_url('ws://a'), 0).follow(answer('x'))


def test_an_address_that_is_none_changes_nothing() -> None:
    redirects = Redirects('ws://a', parse_url('ws://a'), 2)
    with pytest.raises(HandshakeError, match=r'^invalid url$'):
        redirects.follow(answer('ws://'))
    assert redirects.url == 'ws://a'
