"""What a server answers, and what a client's listeners hear of it; with servers that mean no good, too."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes import fake_server
from hops import EVENTS, found, hops, opened, outcome, whole_outcome
from loop_timers import held_up
from support import TIMEOUT, Log, Waiter, on_loop, read_all, server, url_of, wait_for

from ws import HandshakeError, WebSocket, WebSocketError
from ws.client import opening
from ws.protocol.body import MAX_BODY
from ws.typing import ClientRequest, Response

BUSY = b'HTTP/1.1 429 Too Many\r\nRetry-After: 120\r\nX-One: 1\r\nx-one: 2\r\n'


def refusal(answer: bytes, **options: Any) -> HandshakeError:
    """The error of a client that gets this answer."""
    with hops(answer) as peer:
        seen = outcome(WebSocket(peer.url(), options))
    assert seen.events == ['error', 'close']
    assert isinstance(seen.error, HandshakeError)
    return seen.error


# -- the answer, on the error -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'answer',
    [
        BUSY + b'Content-Length: 8\r\n\r\nlater...',
        BUSY + b'Transfer-Encoding: chunked\r\n\r\n5\r\nlater\r\n3;x\r\n...\r\n0\r\n\r\n',
        BUSY + b'\r\nlater...',
    ],
)
def test_an_error_has_the_whole_answer(answer: bytes) -> None:
    error = refusal(answer)
    assert (str(error), error.status) == ('unexpected server response (429)', 429)
    response = error.response
    assert response is not None
    assert (response.statusCode, response.statusMessage, response.httpVersion) == (429, 'Too Many', '1.1')
    assert response.headers['Retry-After'] == '120'
    assert response.headers['x-one'] == '1, 2'
    assert response.rawHeaders[:6] == ['Retry-After', '120', 'X-One', '1', 'x-one', '2']
    assert (response.body, response.complete) == (b'later...', True)


def test_an_answer_that_is_found_wrong_is_there_too() -> None:
    error = refusal(b'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: a=b\r\n\r\n')
    assert (str(error), error.status) == ('invalid server key', None)
    assert error.response is not None and error.response.cookies == {'a': 'b'}


def test_there_may_be_no_answer() -> None:
    error = refusal(b'')
    assert error.response is None
    assert refusal(b'nonsense\r\n\r\n').response is None


@pytest.mark.parametrize(
    ('answer', 'body'),
    [
        (b'Content-Length: 10\r\n\r\nlater', b'later'),
        (b'Transfer-Encoding: chunked\r\n\r\n9\r\nlater', b'later'),
        (b'Transfer-Encoding: chunked\r\n\r\n3\r\nlater', b'lat'),
        (b'Transfer-Encoding: chunked\r\n\r\nx', b''),
        (b'\r\n' + bytes(MAX_BODY + 1), bytes(MAX_BODY)),
        (b'Content-Length: 99999999\r\n\r\n' + bytes(2 * MAX_BODY), bytes(MAX_BODY)),
    ],
)
def test_a_body_that_is_cut_says_so(answer: bytes, body: bytes) -> None:
    response = refusal(BUSY + answer).response
    assert response is not None
    assert (response.body, response.complete) == (body, False)


@pytest.mark.parametrize('limit', ['handshakeTimeout', 'BODY_TIMEOUT'])
def test_a_body_that_does_not_end_is_waited_for_no_longer_than_that(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are servers that tell no length, and keep the connection open. What they answer is clear all the same."""
    if limit == 'BODY_TIMEOUT':
        monkeypatch.setattr(opening, 'BODY_TIMEOUT', 1000)

    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(BUSY + b'\r\nso far')
        read_all(sock)

    with fake_server(talk) as url:
        options = {'handshakeTimeout': 1000} if limit == 'handshakeTimeout' else {}
        began = time.monotonic()
        seen = outcome(WebSocket(url, options))
    assert seen.error.status == 429
    assert (seen.error.response.body, seen.error.response.complete) == (b'so far', False)
    assert 0.9 < time.monotonic() - began < 5


def test_a_connection_that_breaks_in_the_body() -> None:
    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(BUSY + b'Content-Length: 10\r\n\r\nlater')
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')  # a reset

    with fake_server(talk) as url:
        seen = outcome(WebSocket(url))
    assert (seen.events, seen.error.status) == (['error', 'close'], 429)
    assert not seen.error.response.complete


def test_the_answer_that_opened_it_stays() -> None:
    with server() as wss:
        wss.on('headers', lambda lines: lines.extend(['Set-Cookie: a=1; Path=/', 'Set-Cookie: b="2"; Secure']))
        wss.on('connection', lambda ws: None)
        ws = WebSocket(url_of(wss))
        wait_for(ws, 'open')
        response = ws.upgradeRes
        assert isinstance(response, Response)
        assert response.statusCode == 101
        assert response.cookies == {'a': '1', 'b': '2'}
        ws.terminate()
        wait_for(ws, 'close')
        assert ws.upgradeRes is response
    assert WebSocket.upgradeRes is None


# -- upgrade ----------------------------------------------------------------------------------------------------------


def test_upgrade_comes_before_what_is_made_of_it() -> None:
    with hops(opened) as peer:
        seen = whole_outcome(lambda: WebSocket(peer.url()), *EVENTS)
    assert seen.events == ['upgrade', 'open', 'close']
    with hops(b'HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n') as peer:
        seen = whole_outcome(lambda: WebSocket(peer.url()), *EVENTS)
    assert (seen.events, str(seen.error)) == (['upgrade', 'error', 'close'], 'Invalid Upgrade header')
    with hops(BUSY + b'\r\n') as peer:
        assert 'upgrade' not in outcome(WebSocket(peer.url()), 'upgrade', 'error', 'close').events


def test_who_comes_late_for_upgrade_hears_of_it_late() -> None:
    """And nobody waits for who may never come."""
    with hops(opened) as peer:
        ws = WebSocket(peer.url())
        wait_for(ws, 'open')
        late = Waiter()
        ws.on('upgrade', late)
        assert late.get() == (ws.upgradeRes,)
        wait_for(ws, 'close')
        assert late.nothing()


# -- unexpected-response ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def unexpected(listener: Callable[..., object], **options: Any) -> Iterator[Log]:
    """A client that is refused, and has this listener."""
    with hops(BUSY + b'Content-Length: 5\r\n\r\nlater') as peer:
        with held_up():
            ws = WebSocket(peer.url(), options)
            log = Log(ws, 'open', 'error', 'close')
            ws.on('unexpected-response', lambda request, response: listener(ws, request, response))
        yield log


def test_a_listener_takes_the_place_of_error() -> None:
    answers = Waiter()
    with unexpected(lambda *args: answers(*args)) as log:
        ws, request, response = answers.get()
        assert isinstance(request, ClientRequest) and isinstance(response, Response)
        assert (request.method, request.path, request.host) == ('GET', '/', '127.0.0.1')
        assert request.getHeader('upgrade') == 'websocket'
        assert (response.statusCode, response.body, response.complete) == (429, b'later', True)
        assert log.nothing()
        assert ws.readyState == ws.CONNECTING
        ws.terminate()
        assert log.until('close')[-1] == ('close', 1006, '')


def test_a_listener_that_ends_nothing_has_a_time_limit() -> None:
    """As in ws 8; but there `close` never comes if the server has closed the connection."""
    with unexpected(lambda *args: None, handshakeTimeout=300) as log:
        error, close = log.until('close')
    assert (error[0], str(error[1])) == ('error', 'Opening handshake has timed out')
    assert close == ('close', 1006, '')


@pytest.mark.parametrize('method', ['abort', 'destroy'])
def test_a_listener_gives_the_request_up(method: str) -> None:
    with unexpected(lambda ws, request, response: getattr(request, method)()) as log:
        assert log.until('close')[-1] == ('close', 1006, '')


def test_a_listener_knows_who_has_answered() -> None:
    peers = Waiter()
    with unexpected(lambda ws, request, response: (peers(ws.url, request.socket.remotePort), request.abort())) as log:
        url, port = peers.get()
        assert url.endswith(f':{port}/')
        assert log.until('close') == [('close', 1006, '')]


def test_a_listener_gives_the_request_up_with_an_error() -> None:
    problem = ValueError('not with me')
    with unexpected(lambda ws, request, response: request.destroy(problem)) as log:
        assert log.until('close') == [('error', problem), ('close', 1006, '')]


def test_it_may_be_given_up_later_and_elsewhere() -> None:
    requests = Waiter()
    with unexpected(lambda ws, request, response: requests(request)) as log:
        [request] = requests.get()
        request.destroy()
        request.destroy(ValueError('too late'))
        assert log.until('close')[-1] == ('close', 1006, '')
        assert request.destroyed
        with pytest.raises(WebSocketError, match='sent'):
            request.setHeader('a', 'b')


@pytest.mark.parametrize('executor', [None, 1])
@pytest.mark.parametrize('event', ['unexpected-response', 'upgrade', 'redirect'])
def test_a_listener_that_raises_ends_the_attempt(event: str, executor: Any, reported: list[BaseException]) -> None:
    """A redirect, above all, isn't followed when who should have looked at the headers has not."""
    problem, attached = ValueError('mine'), threading.Event()

    def opened_then(head: bytes) -> bytes:
        attached.wait(TIMEOUT)  # `upgrade` waits for no listener
        return opened(head)

    answers = {'unexpected-response': BUSY + b'\r\n', 'upgrade': opened_then, 'redirect': '/there'}

    def listener() -> None:
        raise problem

    with hops(answers[event]) as peer:
        with held_up():
            ws = WebSocket(peer.url(), followRedirects=True, executor=executor)
            log = Log(ws, 'open', 'close')
            ws.on(event, listener)
        attached.set()
        assert log.until('close') == [('close', 1006, '')]
    assert len(peer.heads) == 1
    assert reported == [problem]
    reported.clear()


# -- redirects --------------------------------------------------------------------------------------------------------


def test_redirects_are_followed_if_asked_for() -> None:
    with hops('/one?x', '../two', opened) as peer:
        seen = whole_outcome(lambda: WebSocket(peer.url(), followRedirects=True), *EVENTS)
        assert seen.events == ['redirect', 'redirect', 'upgrade', 'open', 'close']
        assert seen.ws.url == peer.url('/two')
        assert peer.targets() == ['/', '/one?x', '/two']
        keys = {peer.sent(number, 'Sec-WebSocket-Key') for number in range(3)}
        assert len(keys) == 3
        origins = {peer.sent(number, 'Origin') for number in range(3)}
        assert origins == {f'127.0.0.1:{peer.port}'}


@pytest.mark.parametrize('options', [{}, {'followRedirects': False, 'maxRedirects': 5}])
def test_they_are_not_otherwise(options: dict[str, Any]) -> None:
    error = refusal(found('/one', 'Content-Length: 2') + b'hi', **options)
    assert error.status == 302 and error.response is not None
    assert error.response.headers['location'] == '/one'
    assert error.response.body == b'hi'


@pytest.mark.parametrize('location', ['', 'missing'])
def test_one_without_a_place_to_go_to_is_a_refusal(location: str) -> None:
    answer = found('') if not location else b'HTTP/1.1 302 Found\r\n\r\n'
    assert str(refusal(answer, followRedirects=True)) == 'unexpected server response (302)'


def test_one_that_leads_nowhere() -> None:
    for location in 'ws://', 'ftp://host/', '/\\evil.example', '/a\tb':
        error = refusal(found(location), followRedirects=True)
        assert str(error).startswith('invalid url')
        assert error.status == 302 and error.response is not None
        assert isinstance(error.__cause__, ValueError)


def test_a_loop_ends() -> None:
    with hops(*['/again'] * 11) as peer:
        seen = outcome(WebSocket(peer.url(), followRedirects=True))
    assert (str(seen.error), seen.error.status) == ('Maximum redirects exceeded', 302)
    assert len(peer.heads) == 11
    with hops(*['/again'] * 1000, opened) as peer:
        assert outcome(WebSocket(peer.url(), followRedirects=True, maxRedirects=1000)).events == ['open', 'close']
    assert str(refusal(found('/'), followRedirects=True, maxRedirects=0)) == 'Maximum redirects exceeded'


def test_the_body_of_a_redirect_is_not_read() -> None:
    """Nor is there any wait for the old server."""
    released = threading.Event()

    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(found(target) + bytes(100))
        assert released.wait(TIMEOUT)

    with hops(opened) as peer, fake_server(talk) as url:
        target = peer.url('/there')
        assert outcome(WebSocket(url, followRedirects=True)).events == ['open', 'close']
        released.set()


def test_each_request_has_a_deadline_of_its_own() -> None:
    """As in ws 8."""

    def slowly(answer: bytes) -> Callable[[bytes], bytes]:
        def talk(head: bytes) -> bytes:
            time.sleep(1.5)
            return answer or opened(head)

        return talk

    with hops(slowly(found('/1')), slowly(found('/2')), slowly(b'')) as peer:
        assert outcome(WebSocket(peer.url(), followRedirects=True, handshakeTimeout=4000)).events == ['open', 'close']
    release = threading.Event()
    with hops('/1', lambda head: found('/2') if release.wait(TIMEOUT) else b'') as peer:
        seen = outcome(WebSocket(peer.url(), followRedirects=True, handshakeTimeout=2000))
        release.set()
    assert str(seen.error) == 'Opening handshake has timed out'
    assert seen.ws.url == peer.url('/1')


def test_a_listener_edits_the_headers() -> None:
    with hops('/one', opened) as peer:

        def redirect(url: str, request: ClientRequest) -> None:
            assert url == ws.url == peer.url('/one')
            assert request.path == '/one'
            assert request.getHeader('COOKIE') == 'a=b' and request.hasHeader('cookie')
            assert request.getHeader('x-own') == ['1', '2']
            assert request.getHeaders()['connection'] == 'Upgrade'
            request.removeHeader('Cookie')
            request.removeHeader('never there')
            assert request.setHeader('X-New', 5).setHeader('x-own', '3') is request
            assert request.getHeader('cookie') is None and not request.hasHeader('cookie')
            with pytest.raises(ValueError, match='invalid character'):
                request.setHeader('X-Bad', 'a\r\nX-Injected: b')
            with pytest.raises(ValueError, match='invalid header name'):
                request.setHeader('X Bad', 'a')
            with pytest.raises(TypeError, match='must be a str or a number'):
                request.setHeader('X-Bad', None)  # type: ignore[arg-type]

        with held_up():
            ws = WebSocket(peer.url(), followRedirects=True, headers={'Cookie': 'a=b', 'X-Own': ['1', '2']})
            ws.on('redirect', redirect)
        assert outcome(ws).events == ['open', 'close']
        assert [peer.sent(1, name) for name in ('Cookie', 'X-New', 'X-Own', 'X-Bad')] == [None, '5', '3', None]
        assert peer.sent(0, 'Cookie') == 'a=b'


@pytest.mark.parametrize('error', [None, ValueError('mine')])
def test_a_listener_gives_a_redirect_up(error: Any) -> None:
    with hops('/one') as peer:
        with held_up():
            ws = WebSocket(peer.url(), followRedirects=True)
            ws.on('redirect', lambda url, request: request.destroy(error))
        seen = outcome(ws)
    assert seen.events == ['error', 'close']
    assert str(seen.error) == ('mine' if error else 'socket hang up')
    assert len(peer.heads) == 1


@pytest.mark.parametrize('listening', [True, False])
@pytest.mark.usefixtures('switching')
def test_a_listener_decides_however_late_its_line_runs(listening: bool) -> None:
    """The server may be quicker than the program's next line; what goes to another host must not depend on it."""
    with hops(opened) as other, hops(other.url()) as peer:
        ws = WebSocket(peer.url(), followRedirects=True, headers={'Cookie': 'a=b'})
        if listening:
            ws.on('redirect', lambda: None)
        assert outcome(ws).events == ['open', 'close']
        assert other.sent(0, 'Cookie') == ('a=b' if listening else None)


def test_listeners_on_a_pool_decide_as_well() -> None:
    threads: set[str] = set()

    def note(*args: Any) -> None:
        threads.add(threading.current_thread().name)
        time.sleep(0.05)  # what follows has to wait

    def client() -> WebSocket:
        ws = WebSocket(peer.url(), followRedirects=True, headers={'Cookie': 'a=b'}, executor=2)
        ws.on('redirect', lambda url, request: (note(), request.removeHeader('cookie')))
        return ws.on('upgrade', note)

    expected = ['redirect', 'upgrade', 'open', 'close']
    with hops('/one', opened) as peer:
        assert whole_outcome(client, *expected).events == expected
        assert peer.sent(1, 'Cookie') is None
    with hops('/one') as peer:
        with held_up():
            ws = WebSocket(peer.url(), followRedirects=True, executor=2)
            ws.on('redirect', lambda url, request: (note(), request.abort()))
        assert outcome(ws).events == ['error', 'close']
    attached = threading.Event()
    with hops(lambda head: opened(head) if attached.wait(TIMEOUT) else b'') as peer:
        ws = WebSocket(peer.url(), executor=2)
        ws.on('upgrade', lambda: (note(), ws.terminate()))
        attached.set()  # `upgrade` waits for no listener
        assert outcome(ws, 'open', 'close').events == ['close']
    with hops(BUSY + b'\r\n') as peer:
        with held_up():
            ws = WebSocket(peer.url(), executor=2)
            ws.on('unexpected-response', lambda request: (note(), request.abort()))
        assert outcome(ws, 'open', 'close').events == ['close']
    assert threads and all(name.startswith('ws-listener') for name in threads)


@pytest.mark.parametrize('executor', [None, 1])
def test_clients_made_in_listeners_wait_for_nobody(executor: Any) -> None:
    """What comes behind the answer is theirs, also if it takes a moment to ask a pool."""
    with hops('/one', opened) as peer:

        def make() -> Log:
            return Log(WebSocket(peer.url(), followRedirects=True, executor=executor), 'open', 'error', 'close')

        log = on_loop(WebSocket('ws://127.0.0.1:1').on('error', lambda: None), make)
        assert [event[0] for event in log.until('close')] == ['open', 'close']


def test_it_may_be_closed_on_the_way() -> None:
    for method in 'close', 'terminate':
        with hops('/one') as peer:
            with held_up():
                ws = WebSocket(peer.url(), followRedirects=True)
                ws.on('redirect', lambda: getattr(ws, method)())  # noqa: B023  # called before the next round
            assert outcome(ws, 'open', 'close').events == ['close']
        assert len(peer.heads) == 1


# -- servers that mean no good ----------------------------------------------------------------------------------------


def flood(head: bytes, piece: bytes) -> Callable[[socket.socket, bytes], None]:
    """Sends `head`, and `piece` for ever."""

    def talk(sock: socket.socket, request: bytes) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(head)
            while True:
                sock.sendall(piece)

    return talk


@pytest.mark.parametrize(
    ('head', 'piece', 'text', 'most'),
    [
        (BUSY + b'\r\n', bytes(65536), 'unexpected server response (429)', MAX_BODY),
        (BUSY + b'Content-Length: 999999999999\r\n\r\n', bytes(65536), 'unexpected server response (429)', MAX_BODY),
        (BUSY + b'Transfer-Encoding: chunked\r\n\r\n5;', b'x' * 65536, 'unexpected server response (429)', 0),
        (BUSY + b'Transfer-Encoding: chunked\r\n\r\n', b'1;' + b'x' * 90 + b'\r\ny\r\n', None, 1500),
        (BUSY + b'X-Huge: ', b'x' * 65536, 'invalid server response: head is longer than 16384 bytes', 0),
        (b'HTTP/1.1 302 Found\r\nLocation: ', b'x' * 65536, 'invalid server response: head is longer than', 0),
        (b'HTTP/1.1 100 Continue\r\n\r\n', b'HTTP/1.1 103 x\r\n\r\n', 'invalid server response: more than 16', 0),
    ],
)  # fmt: skip
def test_endless_answers(head: bytes, piece: bytes, text: str, most: int) -> None:
    with fake_server(flood(head, piece)) as url:
        seen = outcome(WebSocket(url, followRedirects=True))
    assert seen.events == ['error', 'close']
    assert str(seen.error).startswith(text or 'unexpected server response')
    if seen.error.response is not None:
        assert len(seen.error.response.body) <= most
        assert not seen.error.response.complete


def test_a_body_that_drips() -> None:
    """The limit is on the time in all, not from one byte to the next."""

    def talk(sock: socket.socket, head: bytes) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(BUSY + b'\r\n')
            while True:
                sock.sendall(b'x')
                time.sleep(0.02)

    began = time.monotonic()
    with fake_server(talk) as url:
        seen = outcome(WebSocket(url, handshakeTimeout=1000))
        assert time.monotonic() - began < 5
    assert seen.error.status == 429 and 0 < len(seen.error.response.body) < 100


@pytest.mark.parametrize(
    'location', ['/x\r\nX-Injected: 1', '/x\nX-Injected: 1', '/x%0d%0aX-Injected:%201', '/\xe9 HTTP/1.1']
)
def test_a_location_can_not_split_the_request(location: str) -> None:
    with hops(found(location), opened) as peer:
        outcome(WebSocket(peer.url(), followRedirects=True))
    for head in peer.heads:
        assert b'\r\nX-Injected' not in head
        assert head.split(b'\r\n')[0].count(b' ') == 2


def test_a_redirect_to_plain_http_of_a_tls_server_fails_clearly() -> None:
    with hops('wss://127.0.0.1:PORT/') as peer:
        seen = outcome(WebSocket(peer.url(), followRedirects=True, handshakeTimeout=2000))
    assert seen.events == ['error', 'close']
    assert seen.ws.url == peer.url(scheme='wss')


def test_tls_material_that_a_redirect_needs_first() -> None:
    """It was no use for the first address, and nobody has looked at it."""
    with hops('wss://127.0.0.1:PORT/') as peer:
        seen = outcome(WebSocket(peer.url(), followRedirects=True, cert='no PEM', key='neither'))
    assert seen.events == ['error', 'close']
    assert isinstance(seen.error, OSError)
