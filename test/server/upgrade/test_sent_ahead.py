"""What the client sends ahead is not lost."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from server.upgrade.requests import REQUEST, Later, text_frame, verify_thread_is_done
from support import TIMEOUT, Waiter, on_loop, raw_connection, server, until

from ws import WebSocketServer
from ws.net.stream import READ_SIZE


def talk_of(total: int) -> tuple[bytes, list[str]]:
    texts = [f'{number} '.ljust(1000, 'x') for number in range(total)]
    return b''.join(text_frame(text.encode()) for text in texts), texts


def connects(wss: WebSocketServer, certificate: dict[str, bytes]) -> Any:
    if not certificate:
        return raw_connection(wss)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    @contextlib.contextmanager
    def connection() -> Iterator[ssl.SSLSocket]:
        with raw_connection(wss) as plain, context.wrap_socket(plain) as sock:
            yield sock

    return connection()


@pytest.mark.parametrize('secure', [False, True])
@pytest.mark.parametrize('total', [1, 50, 400])
def test_what_is_sent_ahead_is_not_lost(total: int, secure: bool, certificate: dict[str, bytes]) -> None:
    """In order, also beyond the limit at which reading is paused, and what TLS has decrypted by then."""
    verify = Later()
    options = certificate if secure else {}
    with server(verifyClient=verify, **options) as wss:
        messages = Waiter()
        wss.on('connection', lambda ws: ws.on('message', messages))
        frames, texts = talk_of(total)
        with connects(wss, options) as sock:
            sender = threading.Thread(target=sock.sendall, args=[REQUEST + frames + text_frame(b'last')])
            sender.start()
            callback = verify.get()
            opening = next(iter(wss._openings))
            if total > 65:
                until(lambda: len(opening._rest) >= 65536)
                verify_thread_is_done(wss)
                assert len(opening._rest) < 65536 + READ_SIZE and not opening.stream._reading
            callback(True)
            assert [messages.get()[0] for _ in range(total + 1)] == [*texts, 'last']
            sender.join()


@pytest.mark.loop
@pytest.mark.parametrize('secure', [False, True])
@pytest.mark.parametrize('more', [b'two', b''])
def test_what_was_sent_ahead_comes_before_what_comes_after(
    more: bytes, secure: bool, certificate: dict[str, bytes]
) -> None:
    """Wherever in a turn of the loop the answer is given, and however soon the client ends."""
    verify = Later()
    options = certificate if secure else {}
    with server(verifyClient=verify, **options) as wss:
        log = Waiter()
        wss.on('connection', lambda ws: (ws.on('message', log), ws.on('close', lambda: log('closed'))))
        answered, sent = threading.Event(), threading.Event()
        with connects(wss, options) as sock:
            sock.sendall(REQUEST + text_frame(b'one'))
            callback = verify.get()
            opening = next(iter(wss._openings))
            until(lambda: opening._rest)
            # What the server defers in there is done in the next turn, which begins with what the client does now.
            steps = [lambda: callback(True), answered.set, lambda: sent.wait(TIMEOUT)]
            on_loop(wss, lambda: [wss._loop.defer(step) for step in steps])
            assert answered.wait(TIMEOUT)
            if more:
                sock.sendall(text_frame(more))
            else:
                socket.socket.shutdown(sock, socket.SHUT_WR)
            sent.set()
            texts = ['one', 'two'] if more else ['one', 'closed']
            assert [log.get()[0] for _ in texts] == texts
        if more:
            assert log.get() == ('closed',)
