"""ws 8's tests of redirects. Each is named after its number in the table of doc/compatibility.md."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hops import Hops, hops, opened, outcome
from loop_timers import held_up

from ws import HandshakeError, WebSocket
from ws.typing import ClientRequest

BASIC = 'Basic Zm9vOmJhcg=='  # foo:bar
HEADERS = {'authorization': BASIC, 'cookie': 'foo=bar', 'host': 'foo'}


@pytest.fixture(scope='module')
def context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert('localhost', '127.0.0.1').configure_cert(context)
    return context


@pytest.fixture
def elsewhere() -> Iterator[Hops]:
    """Another server, that accepts whoever comes."""
    with hops(opened) as server:
        yield server


def sent(server: Hops, number: int = 0) -> dict[str, Any]:
    """Which of the headers that may be dropped that request has."""
    return {name: server.sent(number, name) for name in ('authorization', 'cookie', 'host')}


def follow(url: str, **options: Any) -> WebSocket:
    return WebSocket(url, followRedirects=True, **options)


def test_w045_a_redirect_event_has_the_url_and_the_request() -> None:
    with hops('/foo', opened) as server:
        events: list[Any] = []
        with held_up():
            ws = follow(server.url())
            ws.on('redirect', lambda *args: events.append(args))
        assert outcome(ws).events == ['open', 'close']
        [(url, request)] = events
        assert url == server.url('/foo')
        assert isinstance(request, ClientRequest)


def test_w065_followredirects_is_honoured() -> None:
    with hops('/foo', opened) as server:
        seen = outcome(follow(server.url()))
        assert seen.events == ['open', 'close']
        assert seen.ws.url == server.url('/foo')
        assert server.targets() == ['/', '/foo']


def test_w066_maxredirects_is_honoured() -> None:
    with hops('/', '/') as server:
        seen = outcome(follow(server.url(), maxRedirects=1))
    assert seen.events == ['error', 'close']
    assert str(seen.error) == 'Maximum redirects exceeded'
    assert len(server.heads) == 2


@pytest.mark.parametrize('location', ['ws://'])
def test_w067_a_redirect_to_what_is_no_url_is_an_error(location: str) -> None:
    assert_invalid(location, 'invalid url')


def test_w068_so_is_one_to_another_scheme() -> None:
    assert_invalid(
        'bad-scheme://localhost', 'invalid url: scheme must be ws, wss, http, https or ws+unix, not bad-scheme'
    )


def assert_invalid(location: str, text: str) -> None:
    with hops(location) as server:
        seen = outcome(follow(server.url()))
    assert seen.events == ['error', 'close']
    assert isinstance(seen.error, HandshakeError) and isinstance(seen.error.__cause__, ValueError)
    assert str(seen.error) == text


def test_w069_the_first_user_in_a_url_counts() -> None:
    with hops('ws://baz:qux@localhost:PORT/foo', opened) as server:
        seen = outcome(follow(server.url(host='foo:bar@localhost')))
        assert [server.sent(number, 'authorization') for number in (0, 1)] == [BASIC, BASIC]
        assert seen.ws.url == server.url('/foo', host='baz:qux@localhost')


# -- away from TLS ----------------------------------------------------------------------------------------------------


def test_w070_away_from_tls_credentials_in_the_address_are_dropped(context: ssl.SSLContext) -> None:
    with hops('ws://localhost:PORT/', opened, context=context) as server:
        seen = outcome(follow(server.url(scheme='wss', host='foo:bar@localhost'), rejectUnauthorized=False))
        assert [server.sent(number, 'authorization') for number in (0, 1)] == [BASIC, None]
        assert seen.ws.url == server.url(host='localhost')


def test_w071_away_from_tls_authorization_and_cookie_are_dropped(context: ssl.SSLContext) -> None:
    with hops('ws://localhost:PORT/', opened, context=context) as server:
        url = server.url(scheme='wss', host='localhost')
        assert outcome(follow(url, rejectUnauthorized=False, headers=HEADERS)).events == ['open', 'close']
        assert sent(server, 0) == HEADERS
        assert sent(server, 1) == {'authorization': None, 'cookie': None, 'host': 'foo'}


def test_w072_away_from_tls_nothing_is_dropped_if_there_is_a_listener(context: ssl.SSLContext) -> None:
    with hops('ws://localhost:PORT/', opened, context=context) as server:
        url = server.url(scheme='wss', host='localhost')
        assert_listener_has_all(
            lambda: follow(url, rejectUnauthorized=False, headers=HEADERS), server.url(host='localhost')
        )
        assert sent(server, 1) == HEADERS


def assert_listener_has_all(make: Callable[[], WebSocket], url: str) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    with held_up():
        ws = make()
        ws.on('redirect', lambda url, request: seen.append((url, {name: request.getHeader(name) for name in HEADERS})))
    assert outcome(ws).events == ['open', 'close']
    assert seen == [(url, HEADERS)]


# -- to another host --------------------------------------------------------------------------------------------------


def test_w073_to_another_host_credentials_in_the_address_are_dropped(elsewhere: Hops) -> None:
    with hops(elsewhere.url(host='localhost')) as server:
        seen = outcome(follow(server.url(host='foo:bar@localhost')))
        assert server.sent(0, 'authorization') == BASIC
        assert elsewhere.sent(0, 'authorization') is None
        assert seen.ws.url == elsewhere.url(host='localhost')


def assert_all_dropped(server: Hops, url: str, elsewhere: Hops, host: str, leads_to: str) -> None:
    seen = outcome(follow(url, headers=HEADERS))
    assert seen.events == ['open', 'close']
    assert sent(server) == HEADERS
    assert sent(elsewhere) == {'authorization': None, 'cookie': None, 'host': host}
    assert seen.ws.url == leads_to


def test_w074_to_another_host_authorization_cookie_and_host_are_dropped(elsewhere: Hops) -> None:
    url = elsewhere.url(host='localhost')
    with hops(url) as server:
        assert_all_dropped(server, server.url(host='localhost'), elsewhere, f'localhost:{elsewhere.port}', url)


def test_w075_so_they_are_from_tcp_to_a_unix_socket(tmp_path: Path) -> None:
    url = f'ws+unix:{tmp_path}/s'
    with hops(opened, path=f'{tmp_path}/s') as elsewhere, hops(url) as server:
        assert_all_dropped(server, server.url(host='localhost'), elsewhere, 'localhost', url)


def test_w076_so_they_are_from_one_unix_socket_to_another(tmp_path: Path) -> None:
    url = f'ws+unix:{tmp_path}/s2'
    with hops(opened, path=f'{tmp_path}/s2') as elsewhere, hops(url, path=f'{tmp_path}/s1') as server:
        assert_all_dropped(server, f'ws+unix:{tmp_path}/s1', elsewhere, 'localhost', url)


def test_w077_so_they_are_from_a_unix_socket_to_tcp(tmp_path: Path, elsewhere: Hops) -> None:
    url = f'ws://localhost:{elsewhere.port}'
    with hops(url, path=f'{tmp_path}/s') as server:
        assert_all_dropped(server, f'ws+unix:{tmp_path}/s', elsewhere, f'localhost:{elsewhere.port}', url + '/')


def test_w078_to_another_host_nothing_is_dropped_if_there_is_a_listener(elsewhere: Hops) -> None:
    url = elsewhere.url(host='localhost')
    with hops(url) as server:
        assert_listener_has_all(lambda: follow(server.url(host='localhost'), headers=HEADERS), url)
        assert sent(elsewhere) == HEADERS


# -- what a listener can do -------------------------------------------------------------------------------------------


def test_w079_a_listener_that_aborts_the_request_swallows_no_error() -> None:
    with hops('/foo') as server:
        with held_up():
            ws = follow(server.url())
            ws.on('redirect', lambda url, request: request.abort())
        seen = outcome(ws)
    assert seen.events == ['error', 'close']
    assert str(seen.error) == 'socket hang up'
    assert len(server.heads) == 1


def test_w080_a_listener_can_remove_headers(elsewhere: Hops) -> None:
    with hops(elsewhere.url()) as server:

        def redirect(url: str, request: ClientRequest) -> None:
            assert (request.getHeader('Authorization'), request.getHeader('Cookie')) == (BASIC, 'foo=bar')
            request.removeHeader('authorization')
            request.removeHeader('cookie')

        with held_up():
            ws = follow(server.url(), headers={'authorization': BASIC, 'cookie': 'foo=bar'})
            ws.on('redirect', redirect)
        assert outcome(ws).events == ['open', 'close']
        assert {**sent(elsewhere), 'host': None} == {'authorization': None, 'cookie': None, 'host': None}


def test_w119_close_in_a_listener_gives_the_attempt_up() -> None:
    assert_given_up('close')


def test_w132_so_does_terminate() -> None:
    assert_given_up('terminate')


def assert_given_up(method: str) -> None:
    with hops('/foo') as server:
        closed: list[Any] = []
        with held_up():
            ws = follow(server.url())
            ws.on('redirect', lambda: getattr(ws, method)())
            ws.on('close', lambda *args: closed.append(args))
        assert outcome(ws, 'open', 'close').events == ['close']
        assert closed == [(1006, '')]
    assert len(server.heads) == 1
