"""TLS: handshakes, what OpenSSL wants and when, endings, and the contexts that PEM options describe."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Optional

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_pem_x509_certificate
from streams import Driver, Received, in_thread, receive, tcp_pair, unix_pair
from support import TIMEOUT, Waiter, until

from ws.net.stream import Stream
from ws.net.tls import TLSStream, client_context, is_kept_open, keep_open, server_context

ROOT = Path(__file__).resolve().parent.parent.parent

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def server_stream(driver: Driver, contexts: Contexts, sock: socket.socket) -> TLSStream:
    return TLSStream(driver.loop, contexts[0].wrap_socket(sock, server_side=True, do_handshake_on_connect=False))


def client_stream(driver: Driver, context: ssl.SSLContext, sock: socket.socket, host: str = 'localhost') -> TLSStream:
    return TLSStream(driver.loop, context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = tcp_pair()
    yield near, far
    near.close()
    far.close()


class Ends:
    """Two streams of one loop with TLS between them."""

    def __init__(self, driver: Driver, contexts: Contexts, client: Optional[ssl.SSLContext] = None) -> None:
        near, far = tcp_pair()
        self.server = server_stream(driver, contexts, near)
        self.client = client_stream(driver, client or contexts[1], far)
        self.at_server, self.at_client = Received(self.server), Received(self.client)
        self.shaken = Waiter()

    def shake(self, driver: Driver) -> None:
        for stream in (self.server, self.client):
            driver.loop.call(stream.handshake, lambda stream=stream: self.shaken(stream))
        self.shaken.get()
        self.shaken.get()
        for stream in (self.server, self.client):
            driver(stream.resume)


@pytest.fixture
def ends(driver: Driver, tls_contexts: Contexts) -> Iterator[Ends]:
    ends = Ends(driver, tls_contexts)
    yield ends
    driver(ends.server.destroy)
    driver(ends.client.destroy)


# -- the handshake ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_two_streams_shake_hands(
    driver: Driver, tls_contexts: Contexts, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = version
    ends = Ends(driver, tls_contexts, context)
    ends.shake(driver)
    assert not ends.server.handshaking and not ends.client.handshaking
    assert ends.server.encrypted
    driver(ends.client.write, b'from the client')
    driver(ends.server.write, b'from the server')
    assert ends.at_server.bytes(15) == b'from the client'
    assert ends.at_client.bytes(15) == b'from the server'
    driver(ends.client.destroy)
    ends.at_server.until('end')
    driver(ends.server.destroy)


def test_what_comes_right_behind_the_handshake_is_not_lost(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)

    def talk() -> None:
        with tls_contexts[1].wrap_socket(pair[1], server_hostname='localhost') as peer:
            peer.sendall(b'early')
            assert receive(peer, 6) == b'answer'

    with in_thread(talk):
        driver(stream.handshake, stream.resume)
        assert received.bytes(5) == b'early'
        driver(stream.write, b'answer')
    driver(stream.destroy)


def test_a_client_that_stalls_costs_nothing_and_can_be_destroyed(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received, shaken = Received(stream), Waiter()
    driver(stream.handshake, shaken)
    pair[1].sendall(b'\x16\x03\x01\x02\x00\x01')  # the beginning of a ClientHello
    driver.turns(3)
    used = driver(time.thread_time)
    assert shaken.nothing(0.1)
    assert driver(time.thread_time) - used < 0.03
    assert stream.handshaking and not stream.closed
    driver(stream.destroy)
    received.until('close')
    assert (received.happened, received.error) == (['close'], None)
    assert not stream.handshaking
    assert not driver.loop._pollables
    assert pair[1].recv(1) == b''


@pytest.mark.parametrize('rubbish', [b'GET / HTTP/1.1\r\n\r\n', b'\0' * 100, b'\x16\x03\x01\x00\x02\x01\x00', b'\xff'])
def test_plain_text_on_a_tls_port(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket], rubbish: bytes
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received, shaken = Received(stream), Waiter()
    driver(stream.handshake, shaken)
    pair[1].sendall(rubbish)
    with contextlib.suppress(OSError):  # reset already
        pair[1].shutdown(socket.SHUT_WR)
    received.until('close')
    assert isinstance(received.error, ssl.SSLError)
    assert received.happened == ['close']
    assert shaken.nothing(0)
    assert not driver.loop._pollables


def test_a_peer_that_leaves_during_the_handshake(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)
    driver(stream.handshake, Waiter())
    pair[1].close()
    received.until('close')
    assert isinstance(received.error, OSError)


def test_a_server_that_speaks_no_tls(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = client_stream(driver, tls_contexts[1], pair[0])
    received = Received(stream)
    driver(stream.handshake, Waiter())
    pair[1].sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
    received.until('close')
    assert isinstance(received.error, ssl.SSLError)


@pytest.mark.parametrize(
    ('host', 'trusting', 'problem'),
    [('other.example', True, 'mismatch'), ('localhost', False, 'CERTIFICATE_VERIFY_FAILED'), ('127.0.0.1', True, None)],
)
def test_certificates_are_verified(
    driver: Driver,
    tls_contexts: Contexts,
    pair: tuple[socket.socket, socket.socket],
    host: str,
    trusting: bool,
    problem: Optional[str],
) -> None:
    server = server_stream(driver, tls_contexts, pair[0])
    context = tls_contexts[1] if trusting else client_context()
    client = client_stream(driver, context, pair[1], host)
    received, server_received, shaken = Received(client), Received(server), Waiter()
    driver.loop.call(server.handshake, server.resume)
    driver(client.handshake, shaken)
    if problem is None:
        shaken.get()
        driver(client.destroy)
        server_received.until('end')
        driver(server.destroy)
    else:
        received.until('close')
        assert isinstance(received.error, ssl.SSLCertVerificationError)
        assert problem in str(received.error)
        server_received.until('close')
        assert isinstance(server_received.error, ssl.SSLError)  # the alert


def test_destroyed_by_what_the_handshake_calls(driver: Driver, ends: Ends) -> None:
    driver.loop.call(ends.server.handshake, ends.server.destroy)
    driver.loop.call(ends.client.handshake, Waiter())
    ends.at_server.until('close')
    assert ends.at_server.happened == ['close']


def test_a_handshake_that_fails_keeps_nothing_alive(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    class Owner:
        def __init__(self, stream: TLSStream) -> None:
            self.stream = stream
            stream.on_close = self.on_close

        def on_close(self, error: Optional[Exception]) -> None:
            closed()

        def on_handshake(self) -> None:
            self.stream.resume()

    closed = Waiter()
    gc.collect()
    gc.disable()
    try:
        owner = Owner(server_stream(driver, tls_contexts, pair[0]))
        gone = weakref.ref(owner)
        driver(owner.stream.handshake, owner.on_handshake)
        del owner
        pair[1].sendall(b'no TLS at all\r\n\r\n')
        closed.get()
        driver.turns()
        until(lambda: gone() is None)
    finally:
        gc.enable()


# -- what OpenSSL wants -----------------------------------------------------------------------------------------------


class Moody:
    """An SSLSocket that wants something else first."""

    def __init__(self, sock: ssl.SSLSocket, method: str, error: type[ssl.SSLError], times: int) -> None:
        self._sock = sock
        self._method = method
        self._error = error
        self._times = times
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return self._want if name == self._method else getattr(self._sock, name)

    def _want(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error(0, 'not yet')
        return getattr(self._sock, self._method)(*arguments)


def make_moody(driver: Driver, stream: Stream, method: str, error: type[ssl.SSLError], times: int) -> Moody:
    moody = Moody(stream._sock, method, error, times)  # type: ignore[arg-type]
    driver(setattr, stream, '_sock', moody)
    return moody


def test_reading_that_must_write_first_goes_on_when_it_can(driver: Driver, ends: Ends) -> None:
    ends.shake(driver)
    moody = make_moody(driver, ends.server, 'recv', ssl.SSLWantWriteError, 3)
    driver(ends.client.write, b'hello')
    assert ends.at_server.bytes(5) == b'hello'
    driver(ends.client.write, b'again')
    assert ends.at_server.bytes(5) == b'again'
    calls = moody.calls
    driver.turns(5)
    assert moody.calls == calls


def test_reading_that_must_write_first_is_no_busy_loop(driver: Driver, tls_contexts: Contexts) -> None:
    """A peer that asks for key updates and reads nothing: data waits to be read, and nothing can be written."""
    near, far = tcp_pair(4096)
    stream = server_stream(driver, tls_contexts, near)
    received = Received(stream)
    with in_thread(tls_contexts[1].wrap_socket, far, False, True, True, 'localhost') as peer:
        driver(stream.handshake, stream.resume)
    sock = stream._sock
    calls = [0]

    class Updating:
        def recv(self, size: int) -> bytes:
            calls[0] += 1
            with contextlib.suppress(BlockingIOError):
                while True:
                    socket.socket.send(sock, b'key update')
            raise ssl.SSLWantWriteError(0, 'not yet')

        def __getattr__(self, name: str) -> Any:
            return getattr(sock, name)

    driver(setattr, stream, '_sock', Updating())
    peer().sendall(b'hello')
    until(lambda: calls[0])
    assert Waiter().nothing(0.1)
    assert calls[0] < 100  # more than one, as the peer's kernel takes some
    driver(stream.destroy)
    received.until('close')
    peer().close()


def test_writing_that_must_read_first_goes_on_when_it_can(driver: Driver, ends: Ends) -> None:
    ends.shake(driver)
    driver(ends.server.pause)
    moody = make_moody(driver, ends.server, 'send', ssl.SSLWantReadError, 1)
    answer = Waiter()
    driver(ends.server.write, b'hello', answer)
    driver.turns(5)
    assert moody.calls == 1
    driver(ends.client.write, b'what it waits for')
    assert answer.get() == (None,)
    assert ends.at_client.bytes(5) == b'hello'
    assert ends.at_server.data == bytearray()  # paused is paused
    driver(ends.server.resume)
    assert ends.at_server.bytes(17) == b'what it waits for'


def test_an_unfinished_write_is_repeated_with_the_same_data(driver: Driver, ends: Ends) -> None:
    """OpenSSL demands that; what was queued meanwhile comes behind it."""
    ends.shake(driver)
    sock = ends.server._sock
    written: list[bytes] = []

    class Demanding:
        def send(self, data: Any) -> int:
            written.append(bytes(data))
            if len(written) < 3:
                raise ssl.SSLWantWriteError(0, 'not yet')
            return sock.send(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(sock, name)

    driver(setattr, ends.server, '_sock', Demanding())
    for data in (b'one', b'two', b'three'):
        driver(ends.server.write, data)
    assert ends.at_client.bytes(11) == b'onetwothree'
    assert written[:3] == [b'one'] * 3


def test_a_handshake_that_must_write_first(driver: Driver, ends: Ends) -> None:
    make_moody(driver, ends.server, 'do_handshake', ssl.SSLWantWriteError, 3)
    ends.shake(driver)


def test_small_writes_are_encrypted_together_and_large_ones_in_parts(driver: Driver, ends: Ends) -> None:
    """OpenSSL comes back from a write only when it is complete, or when the kernel takes no more."""
    ends.shake(driver)
    moody = make_moody(driver, ends.server, 'send', ssl.SSLError, 0)

    def write_all() -> None:
        for _ in range(100):
            ends.server.write(b'x' * 100)
        ends.server.write(bytes(200_000))

    driver(write_all)
    assert ends.at_client.bytes(210_000) == b'x' * 10_000 + bytes(200_000)
    assert 1 + 4 <= moody.calls <= 1 + 4 * 2  # each is repeated at most once, if the kernel was full


def read_line(output: IO[bytes], text: bytes) -> None:
    """Read up to the line with `text`."""
    while True:
        line = output.readline()
        assert line, f'no {text!r}'
        if text in line:
            return


@pytest.mark.skipif(shutil.which('openssl') is None, reason='there is no openssl command')
def test_a_key_update_of_the_peer_s(driver: Driver, tls_contexts: Contexts) -> None:
    """It asks for one of ours, which OpenSSL sends while it reads."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        peer = subprocess.Popen(
            ['openssl', 's_client', '-tls1_3', '-connect', f'127.0.0.1:{listener.getsockname()[1]}'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with peer:
            assert peer.stdin is not None and peer.stdout is not None
            listener.settimeout(TIMEOUT)
            stream = server_stream(driver, tls_contexts, listener.accept()[0])
            received = Received(stream)
            driver(stream.handshake, stream.resume)
            for number in range(3):
                peer.stdin.write(b'K\n')  # asks for a key update
                peer.stdin.flush()
                read_line(peer.stdout, b'KEYUPDATE')
                peer.stdin.write(b'message %d\n' % number)
                peer.stdin.flush()
                assert received.bytes(10) == b'message %d\n' % number
                driver(stream.write, b'answer %d\n' % number)
                read_line(peer.stdout, b'answer %d' % number)
            driver(stream.destroy)


# -- endings ----------------------------------------------------------------------------------------------------------


def test_both_ends_say_goodbye(driver: Driver, ends: Ends) -> None:
    ends.shake(driver)
    driver(ends.server.write, b'last')
    driver(ends.server.end)
    ends.at_client.until('end')
    assert ends.at_client.data == b'last'
    driver(ends.client.end)
    for end in (ends.at_client, ends.at_server):
        end.until('close')
        assert end.error is None
    assert ends.at_server.happened == ['end', 'close']
    assert ends.at_client.happened == ['data', 'end', 'close']


def test_our_end_is_no_truncation_to_the_peer(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)
    with in_thread(tls_contexts[1].wrap_socket, pair[1], False, True, False, 'localhost') as peer:
        driver(stream.handshake, stream.resume)
    with peer() as sock:
        driver(stream.end)
        assert sock.recv(1) == b''  # raises for an end without close_notify, suppress_ragged_eofs being False
    received.until('close')
    assert received.error is None


def test_an_end_that_the_kernel_has_no_room_for_is_an_end_nevertheless(
    driver: Driver, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwrap(sock: ssl.SSLSocket) -> None:
        raise ssl.SSLWantWriteError(0, 'not yet')

    ends.shake(driver)
    with monkeypatch.context() as patch:
        patch.setattr(ssl.SSLSocket, 'unwrap', unwrap)
        driver(ends.server.end)
        ends.at_client.until('end')  # without close_notify
    driver(ends.client.end)
    ends.at_server.until('close')


def test_an_end_while_the_peer_is_sending_resets_nothing(driver: Driver, ends: Ends) -> None:
    """A server that ends the connection because a message is too large: the reason must reach the client."""
    ends.shake(driver)
    on_data = ends.server.on_data
    ended: list[None] = []

    def on_first_data(data: bytes) -> None:
        on_data(data)
        if not ended:
            ended.append(None)
            ends.server.write(b'too much')
            ends.server.end()

    driver(setattr, ends.server, 'on_data', on_first_data)
    sent = Waiter()
    driver(ends.client.write, bytes(1 << 23), sent)
    ends.at_client.until('end')
    assert ends.at_client.data == b'too much'
    assert sent.get() == (None,)  # all of it was taken, and thrown away
    assert not ends.server.closed
    driver(ends.client.end)
    for end in (ends.at_server, ends.at_client):
        end.until('close')
        assert end.error is None


def test_a_peer_that_goes_on_after_our_end_is_no_busy_loop(driver: Driver, ends: Ends) -> None:
    ends.shake(driver)
    driver(ends.client.write, bytes(1 << 20))
    driver(ends.server.end)
    ends.at_client.until('end')
    driver.turns(50)
    used = driver(time.thread_time)
    assert Waiter().nothing(0.1)
    assert driver(time.thread_time) - used < 0.03
    driver(ends.client.destroy)
    ends.at_server.until('close')


def test_tls_errors_end_the_stream(driver: Driver, tls_contexts: Contexts, pair: Any) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)
    number = pair[1].fileno()
    with in_thread(tls_contexts[1].wrap_socket, pair[1], False, True, True, 'localhost') as peer:
        driver(stream.handshake, stream.resume)
    peer().sendall(b'fine')
    assert received.bytes(4) == b'fine'
    os.write(number, b'\x17\x03\x03\x00\x20' + bytes(32))  # a record that was not encrypted with our keys
    received.until('close')
    assert isinstance(received.error, ssl.SSLError)
    peer().close()


def test_over_a_unix_socket(driver: Driver, tls_contexts: Contexts) -> None:
    near, far = unix_pair()
    server, client = server_stream(driver, tls_contexts, near), client_stream(driver, tls_contexts[1], far)
    received, shaken = Received(server), Waiter()
    driver.loop.call(server.handshake, shaken)
    driver.loop.call(client.handshake, shaken)
    shaken.get(), shaken.get()
    driver(server.resume)
    driver(client.write, b'hello')
    assert received.bytes(5) == b'hello'
    driver(client.destroy)
    driver(server.destroy)


# -- contexts ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert('localhost')


def chain_of(certificate: trustme.LeafCert) -> bytes:
    return b''.join(pem.bytes() for pem in certificate.cert_chain_pems)


def encrypted_key(certificate: trustme.LeafCert, passphrase: bytes) -> bytes:
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )


def authorities_of(context: ssl.SSLContext) -> int:
    return len(context.get_ca_certs())


def shakes_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str = 'localhost') -> bool:
    near, far = tcp_pair()

    def serve() -> None:
        try:
            server.wrap_socket(near, server_side=True).close()
        except OSError:
            near.close()

    with in_thread(serve):
        try:
            with client.wrap_socket(far, server_hostname=host) as sock:
                sock.do_handshake()
            return True
        except ssl.SSLError:
            return False
        finally:
            far.close()


@pytest.mark.parametrize('kind', [bytes, str, bytearray])
def test_pem_may_be_text_or_bytes(authority: trustme.CA, certificate: trustme.LeafCert, kind: type) -> None:
    def given(pem: bytes) -> Any:
        return pem.decode() if kind is str else kind(pem)

    server = server_context(given(chain_of(certificate)), given(certificate.private_key_pem.bytes()))
    client = client_context(ca=given(authority.cert_pem.bytes()))
    assert shakes_hands(server, client)
    assert not shakes_hands(server, client, host='other.example')
    assert not shakes_hands(server, client_context())
    assert shakes_hands(server, client_context(reject_unauthorized=False))
    assert shakes_hands(server, client_context(ca=given(trustme.CA().cert_pem.bytes()), reject_unauthorized=False))


def test_several_authorities(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    other = trustme.CA()
    server = server_context(chain_of(certificate), certificate.private_key_pem.bytes())
    pems = [other.cert_pem.bytes(), authority.cert_pem.bytes()]
    many: list[Any] = [pems, tuple(pems), [pem.decode() for pem in pems], [pems[0], pems[1].decode()], b'\n'.join(pems)]
    for given in many:
        context = client_context(ca=given)
        assert authorities_of(context) == 2  # and not the system's
        assert shakes_hands(server, context)
    assert not shakes_hands(server, client_context(ca=[other.cert_pem.bytes()]))


@pytest.mark.parametrize('kind', [bytes, str])
def test_authorities_may_have_comments_in_any_language(authority: trustme.CA, kind: type) -> None:
    """The bundles that people pass have them."""
    pem = '# Issuer: F\u0151tan\u00fas\u00edtv\u00e1ny\n' + authority.cert_pem.bytes().decode()
    given = pem if kind is str else pem.encode()
    assert authorities_of(client_context(ca=given)) == 1


@pytest.mark.parametrize('none', ['', b'', [], ()])
def test_no_authority_is_not_any_authority(none: Any) -> None:
    with pytest.raises(ValueError, match='ca'):
        client_context(ca=none)


@pytest.mark.parametrize('given', [5, Path('ca.pem'), [None], object()])
def test_other_types_are_refused(given: Any, certificate: trustme.LeafCert) -> None:
    with pytest.raises(TypeError):
        client_context(ca=given)
    with pytest.raises(TypeError):
        server_context(given, certificate.private_key_pem.bytes())


def test_rubbish_is_refused(certificate: trustme.LeafCert) -> None:
    with pytest.raises(ssl.SSLError):
        client_context(ca='no certificate')
    with pytest.raises(ssl.SSLError):
        client_context(ca='/etc/ssl/ca.pem')  # a name, not contents
    with pytest.raises(ssl.SSLError):
        server_context('no certificate', certificate.private_key_pem.bytes())
    with pytest.raises(ssl.SSLError):
        server_context(chain_of(certificate), trustme.CA().issue_cert('localhost').private_key_pem.bytes())


def test_certificate_and_key_belong_together(certificate: trustme.LeafCert) -> None:
    chain, key = chain_of(certificate), certificate.private_key_pem.bytes()
    for cert, private_key in ((chain, None), (None, key)):
        with pytest.raises(ValueError, match='cert and key belong together'):
            client_context(cert=cert, key=private_key)
        with pytest.raises(ValueError, match='cert and key belong together'):
            server_context(cert, private_key)


def test_a_client_s_certificate(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # with 1.3, the client's handshake ends before it is refused
    ca, chain, key = authority.cert_pem.bytes(), chain_of(certificate), certificate.private_key_pem.bytes()
    assert shakes_hands(server, client_context(ca=ca, cert=chain, key=key))
    assert not shakes_hands(server, client_context(ca=ca))


def test_an_encrypted_key(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    chain, key = chain_of(certificate), encrypted_key(certificate, b'secret')
    for passphrase in (b'secret', 'secret'):
        server = server_context(chain, key, passphrase)
        assert shakes_hands(server, client_context(ca=authority.cert_pem.bytes()))
        client_context(cert=chain, key=key, passphrase=passphrase)
    for wrong in (b'wrong', '', None):
        with pytest.raises(ssl.SSLError):
            server_context(chain, key, wrong)
    with pytest.raises(ValueError):
        server_context(chain, key, 'x' * 5000)


def test_a_passphrase_for_a_key_that_needs_none_does_no_harm(certificate: trustme.LeafCert) -> None:
    server_context(chain_of(certificate), certificate.private_key_pem.bytes(), 'not needed')


def pfx_of(certificate: trustme.LeafCert, passphrase: Optional[bytes] = None, leave_out: str = '') -> bytes:
    certs = [load_pem_x509_certificate(pem.bytes()) for pem in certificate.cert_chain_pems]
    key: Any = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return pkcs12.serialize_key_and_certificates(
        b'name',
        None if leave_out == 'key' else key,
        None if leave_out == 'certificate' else certs[0],
        certs[1:] if leave_out != 'certificate' else None,
        encryption,
    )


@pytest.mark.parametrize('passphrase', [None, 'secret', b'secret', 'grün'])
def test_pfx(passphrase: Any) -> None:
    """With the certificates in between: the peer knows the root only."""
    root = trustme.CA()
    certificate = root.create_child_ca().issue_cert('localhost')
    pfx = pfx_of(certificate, passphrase.encode() if isinstance(passphrase, str) else passphrase)
    ca = root.cert_pem.bytes()
    assert shakes_hands(server_context(pfx=pfx, passphrase=passphrase), client_context(ca=ca))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server)
    root.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # with 1.3, the client's handshake ends before it is refused
    assert shakes_hands(server, client_context(ca=ca, pfx=bytearray(pfx), passphrase=passphrase))
    assert not shakes_hands(server, client_context(ca=ca))


@pytest.mark.skipif(shutil.which('openssl') is None, reason='there is no openssl command')
def test_pfx_made_by_openssl(certificate: trustme.LeafCert, authority: trustme.CA, tmp_path: Path) -> None:
    for name, pem in (('cert', chain_of(certificate)), ('key', certificate.private_key_pem.bytes())):
        (tmp_path / name).write_bytes(pem)
    command = 'openssl pkcs12 -export -in cert -inkey key -out pfx -passout pass:secret'
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, timeout=TIMEOUT)
    context = server_context(pfx=(tmp_path / 'pfx').read_bytes(), passphrase='secret')
    assert shakes_hands(context, client_context(ca=authority.cert_pem.bytes()))


@pytest.mark.parametrize('make', [client_context, server_context])
class TestPfxThatCannotBeUsed:
    @pytest.mark.parametrize('wrong', [None, '', 'wrong', b'wrong'])
    def test_wrong_passphrase(self, certificate: trustme.LeafCert, make: Any, wrong: Any) -> None:
        with pytest.raises(ValueError, match=r'^pfx cannot be opened: '):
            make(pfx=pfx_of(certificate, b'secret'), passphrase=wrong)

    @pytest.mark.parametrize('rubbish', [b'', b'rubbish', bytes(1000), bytearray(b'x')])
    def test_rubbish(self, make: Any, rubbish: Any) -> None:
        with pytest.raises(ValueError, match=r'^pfx cannot be opened: '):
            make(pfx=rubbish)

    @pytest.mark.parametrize('given', ['file.pfx', 5, Path('file.pfx')])
    def test_other_types(self, make: Any, given: Any) -> None:
        with pytest.raises(TypeError, match=f'^pfx must be the bytes of a PKCS#12 file, not {type(given).__name__}$'):
            make(pfx=given)

    @pytest.mark.parametrize('missing', ['key', 'certificate'])
    def test_half_of_it(self, certificate: trustme.LeafCert, make: Any, missing: str) -> None:
        with pytest.raises(ValueError, match=f'^pfx holds no {missing}$'):
            make(pfx=pfx_of(certificate, b'secret', leave_out=missing), passphrase='secret')

    def test_with_cert_or_key(self, certificate: trustme.LeafCert, make: Any) -> None:
        chain, key = chain_of(certificate), certificate.private_key_pem.bytes()
        for both in ({'cert': chain}, {'key': key}, {'cert': chain, 'key': key}):
            with pytest.raises(ValueError, match=r'^pfx takes the place of cert and key'):
                make(pfx=pfx_of(certificate), **both)

    def test_without_the_package(
        self, certificate: trustme.LeafCert, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pfx = pfx_of(certificate)
        monkeypatch.setitem(sys.modules, 'cryptography.hazmat.primitives.serialization', None)
        with pytest.raises(ModuleNotFoundError, match=r'pip install cryptography; .* openssl pkcs12 -in FILE -nodes'):
            make(pfx=pfx)


def test_the_package_for_pfx_is_imported_only_when_it_is_used() -> None:
    script = 'import sys, ws; sys.exit("cryptography" in sys.modules)'
    subprocess.run(
        [sys.executable, '-c', script], check=True, timeout=TIMEOUT, env={**os.environ, 'PYTHONPATH': str(ROOT)}
    )


def test_nobody_is_asked_for_a_passphrase(certificate: trustme.LeafCert) -> None:
    """OpenSSL would, and stop the whole process."""
    script = """
        import ssl, sys
        from ws.net.tls import server_context

        try:
            server_context(sys.argv[1], sys.argv[2])
        except ssl.SSLError:
            print('refused')
    """
    child = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(script), chain_of(certificate), encrypted_key(certificate, b'secret')],
        input='secret\n',
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        start_new_session=True,  # no terminal: it would ask on stderr, and read the answer from stdin
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert (child.stdout, child.stderr) == ('refused\n', '')


def test_keys_do_not_stay_on_the_disk(
    certificate: trustme.LeafCert, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    modes: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def look(self: ssl.SSLContext, cert: str, key: str, password: Any) -> None:
        modes.extend(os.stat(name).st_mode & 0o777 for name in (cert, key, os.path.dirname(key)))
        load(self, cert, key, password)

    monkeypatch.setattr(ssl.SSLContext, 'load_cert_chain', look)
    server_context(chain_of(certificate), certificate.private_key_pem.bytes())
    with pytest.raises(ssl.SSLError):
        server_context('rubbish', 'rubbish')
    assert modes == [0o600, 0o600, 0o700] * 2
    assert list(tmp_path.iterdir()) == []


def test_ciphers(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    chain, key = chain_of(certificate), certificate.private_key_pem.bytes()
    server = server_context(chain, key, ciphers='ECDHE-ECDSA-AES128-GCM-SHA256')
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    ca = authority.cert_pem.bytes()
    assert shakes_hands(server, client_context(ca=ca))
    assert not shakes_hands(server, client_context(ca=ca, ciphers='ECDHE-ECDSA-AES256-GCM-SHA384'))
    with pytest.raises(ssl.SSLError):
        client_context(ciphers='no such thing')


def test_the_usual_contexts_are_made_once() -> None:
    """Reading the system's authorities takes long."""
    strict, lax = client_context(), client_context(reject_unauthorized=False)
    assert client_context() is strict
    assert client_context(reject_unauthorized=False) is lax
    assert strict.verify_mode is ssl.CERT_REQUIRED and strict.check_hostname
    assert lax.verify_mode is ssl.CERT_NONE and not lax.check_hostname


def test_old_versions_are_refused(certificate: trustme.LeafCert) -> None:
    server = server_context(chain_of(certificate), certificate.private_key_pem.bytes())
    for context in (server, client_context(), client_context(ciphers='HIGH')):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2  # RFC 8996


def test_threads_may_make_contexts_at_once(certificate: trustme.LeafCert) -> None:
    chain, key = chain_of(certificate), certificate.private_key_pem.bytes()
    problems: list[BaseException] = []

    def make() -> None:
        try:
            for _ in range(5):
                server_context(chain, key)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


# -- what others have done with the socket before, and know of it afterwards ------------------------------------------


def test_authorized_tells_whether_the_peer_was_verified(
    driver: Driver, tls_contexts: Contexts, authority: trustme.CA
) -> None:
    """Server and client are asked in turn; only a certificate that was verified counts."""
    both = ssl.create_default_context()
    authority.configure_trust(both)
    authority.issue_cert('client').configure_cert(both)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(asking)
    authority.configure_trust(asking)
    asking.verify_mode = ssl.CERT_REQUIRED
    for server, client, verified in (
        (tls_contexts[0], tls_contexts[1], (False, True)),
        (tls_contexts[0], client_context(reject_unauthorized=False), (False, False)),
        (asking, both, (True, True)),
    ):
        ends = Ends(driver, (server, client))
        assert not ends.server.authorized and not ends.client.authorized
        ends.shake(driver)
        assert driver(lambda ends=ends: (ends.server.authorized, ends.client.authorized)) == verified
        for stream in (ends.server, ends.client):
            driver(stream.destroy)
            assert not stream.authorized


def test_what_openssl_had_decrypted_for_somebody_else_is_read(driver: Driver, tls_contexts: Contexts) -> None:
    near, far = tcp_pair()
    with in_thread(lambda: tls_contexts[1].wrap_socket(far, server_hostname='localhost')) as shaken:
        sock = tls_contexts[0].wrap_socket(near, server_side=True)
        peer = shaken()
    with peer:
        peer.sendall(b'xdecrypted')
        assert sock.recv(1) == b'x'
        stream = TLSStream(driver.loop, sock)
        received = Received(stream)
        driver(lambda: (stream.resume(), stream.pause(), stream.resume()))
        assert received.bytes(9) == b'decrypted'
        peer.sendall(b'and on')
        assert received.bytes(6) == b'and on'
        driver(stream.destroy)


def test_whoever_else_has_a_socket_that_is_kept_open_closes_it_in_vain(driver: Driver, tls_contexts: Contexts) -> None:
    """Until the stream is closed, or without a stream until the second one has closed it."""
    for with_stream in (True, False):
        near, far = tcp_pair()
        sock = tls_contexts[0].wrap_socket(near, server_side=True, do_handshake_on_connect=False)
        keep_open(sock)
        assert is_kept_open(sock) and not is_kept_open(far)
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        assert sock.fileno() >= 0
        if with_stream:
            stream = TLSStream(driver.loop, sock)
            driver(stream.destroy)
        else:
            sock.close()
        assert sock.fileno() < 0
        assert far.recv(1) == b''
        far.close()


def test_a_stream_is_the_last_owner_of_its_socket(driver: Driver, tls_contexts: Contexts) -> None:
    near, far = tcp_pair()
    sock = tls_contexts[0].wrap_socket(near, server_side=True, do_handshake_on_connect=False)
    keep_open(sock)
    driver(TLSStream(driver.loop, sock).destroy)
    assert sock.fileno() < 0
    sock.close()
    assert far.recv(1) == b''
    far.close()
