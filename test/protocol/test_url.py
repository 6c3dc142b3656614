"""WebSocket addresses (RFC 6455 section 3)."""

from __future__ import annotations

import re
import sys
from base64 import b64decode
from typing import Any
from urllib.parse import urlparse, urlsplit

import idna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ws.protocol.url import Address, parse_url, url_text, without_credentials


@pytest.mark.parametrize(
    ('url', 'address'),
    [
        ('ws://localhost', Address(False, 'localhost', 80, '/', 'localhost')),
        ('ws://localhost:80/', Address(False, 'localhost', 80, '/', 'localhost')),
        ('ws://localhost:443/', Address(False, 'localhost', 443, '/', 'localhost:443')),
        ('ws://localhost:8080/path', Address(False, 'localhost', 8080, '/path', 'localhost:8080')),
        ('wss://example.com/a/b?c=d&e', Address(True, 'example.com', 443, '/a/b?c=d&e', 'example.com')),
        ('wss://example.com:443', Address(True, 'example.com', 443, '/', 'example.com')),
        ('wss://example.com:80', Address(True, 'example.com', 80, '/', 'example.com:80')),
        ('http://example.com', Address(False, 'example.com', 80, '/', 'example.com')),
        ('https://example.com', Address(True, 'example.com', 443, '/', 'example.com')),
        ('WSS://Example.COM:1/A', Address(True, 'example.com', 1, '/A', 'example.com:1')),
        ('ws://127.0.0.1:65535', Address(False, '127.0.0.1', 65535, '/', '127.0.0.1:65535')),
        ('ws://my_host-1.example.:', Address(False, 'my_host-1.example.', 80, '/', 'my_host-1.example.')),
        ('ws://h:00080', Address(False, 'h', 80, '/', 'h')),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    ('url', 'target'),
    [
        ('ws://h?x=1', '/?x=1'),
        ('ws://h/?', '/?'),
        ('ws://h//a//b', '//a//b'),
        ('ws://h/a:b@c', '/a:b@c'),
        ('ws://h/ä?€', '/%C3%A4?%E2%82%AC'),
        ('ws://h/%2f%zz%', '/%2f%zz%'),
        ('ws://h/"<>\\^`{|}', '/%22%3C%3E%5C%5E%60%7B%7C%7D'),
        ("ws://h/-._~!$&'()*+,;=:@[]/?", "/-._~!$&'()*+,;=:@[]/?"),
    ],
)
def test_targets(url: str, target: str) -> None:
    assert parse_url(url).target == target


@pytest.mark.parametrize(
    ('url', 'host', 'host_header'),
    [
        ('ws://[::1]:8080/', '::1', '[::1]:8080'),
        ('ws://[::1]', '::1', '[::1]'),
        ('ws://[::1]:', '::1', '[::1]'),
        ('ws://[FE80::A]:80', 'fe80::a', '[fe80::a]'),
        ('wss://[::ffff:127.0.0.1]:80', '::ffff:127.0.0.1', '[::ffff:127.0.0.1]:80'),
    ],
)
def test_ipv6_stands_in_brackets_in_the_host_header_only(url: str, host: str, host_header: str) -> None:
    address = parse_url(url)
    assert (address.host, address.host_header) == (host, host_header)


def test_other_hosts_than_ascii_are_idna() -> None:
    address = parse_url('ws://Bücher.example。COM:8080/')
    assert address.host == 'xn--bcher-kva.example.com'
    assert address.host_header == 'xn--bcher-kva.example.com:8080'


DEVIATIONS = ['faß.de', 'FAẞ.de', 'ὀδυσσεύς.gr', 'نامه\u200cای.com', 'ශ්\u200dරී.com']


@pytest.mark.parametrize('host', DEVIATIONS)
def test_a_name_is_the_domain_that_it_is_in_browsers(host: str) -> None:
    """To Python's codec, these are others: fass.de for one."""
    assert parse_url(f'ws://{host}').host == idna.encode(host, uts46=True).decode()


@pytest.mark.parametrize('host', DEVIATIONS)
def test_without_idna_such_names_are_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'idna', None)
    with pytest.raises(
        ValueError, match=re.escape(f'invalid url: host {host!r} needs the package idna: pip install idna')
    ):
        parse_url(f'ws://{host}:80/path')
    assert parse_url('ws://Bücher.example').host == 'xn--bcher-kva.example'


def test_what_idna_refuses() -> None:
    for host in ('ß\u200d.de', 'ß' * 254, 'ß..de'):
        with pytest.raises(ValueError, match=re.escape(f'invalid url: host {host!r}')):
            parse_url(f'ws://{host}')


@pytest.mark.parametrize(
    ('url', 'credentials'),
    [
        ('ws://user:password@host', b'user:password'),
        ('ws://user@host', b'user:'),
        ('ws://user:@host', b'user:'),
        ('ws://:password@host', b':password'),
        ('ws://%75ser:p%40ss%3Aword@host', b'user:p@ss:word'),
        ('ws://us@er:a@b@host', b'us@er:a@b'),
        ('ws://ü:%C3%BC%ff@host', b'\xc3\xbc:\xc3\xbc\xff'),
    ],
)
def test_user_and_password_become_basic_authorization(url: str, credentials: bytes) -> None:
    address = parse_url(url)
    assert address.host_header == 'host'
    assert address.authorization is not None
    scheme, _, encoded = address.authorization.partition(' ')
    assert scheme == 'Basic'
    assert b64decode(encoded, validate=True) == credentials


@pytest.mark.parametrize('url', ['ws://host', 'ws://@host', 'ws://host/a:b@c'])
def test_no_user_no_authorization(url: str) -> None:
    assert parse_url(url).authorization is None
    assert parse_url(url).host == 'host'


@pytest.mark.parametrize(
    ('url', 'socket_path', 'target'),
    [
        ('ws+unix:///tmp/my.sock', '/tmp/my.sock', '/'),
        ('ws+unix:/tmp/my.sock', '/tmp/my.sock', '/'),
        ('ws+unix:/tmp/my.sock:', '/tmp/my.sock', '/'),
        ('ws+unix:/tmp/my.sock:/path?q=1:2', '/tmp/my.sock', '/path?q=1:2'),
        ('ws+unix:///tmp/my.sock:/path', '/tmp/my.sock', '/path'),
        ('WS+UNIX:/tmp/My.sock:path', '/tmp/My.sock', '/path'),
        ('ws+unix:/tmp/my.sock?q', '/tmp/my.sock', '/?q'),
        ('ws+unix:/tmp/a%3A%3F%20%25b', '/tmp/a:? %b', '/'),
        ('ws+unix:/tmp/ä%C3%A4%ff', '/tmp/ää\udcff', '/'),
        ('ws+unix:/tmp/my.sock:/ä', '/tmp/my.sock', '/%C3%A4'),
        ('ws+unix:/tmp//x', '/tmp//x', '/'),
    ],
)
def test_unix_sockets(url: str, socket_path: str, target: str) -> None:
    assert parse_url(url) == Address(False, '', 0, target, 'localhost', None, socket_path)


@pytest.mark.parametrize(
    ('url', 'fragment'),
    [
        ('ws://h/a#b', '#b'),
        ('ws://h#b?c', '#b?c'),
        ('ws://h/a?b#c#d', '#c#d'),
        ('wss://h/#', '#'),
        ('#x', '#x'),
        ('ws+unix:/tmp/my.sock:/a#b', '#b'),
    ],
)
def test_a_fragment_is_refused(url: str, fragment: str) -> None:
    """RFC 6455 section 3."""
    with pytest.raises(ValueError, match=f"^invalid url: fragment '{re.escape(fragment)}'$"):
        parse_url(url)


@pytest.mark.parametrize('url', ['echo.websocket.org', '', '//host', '//host:80', 'ws:///x', 'ws://'])
def test_neither_scheme_nor_host(url: str) -> None:
    with pytest.raises(ValueError, match=r'^invalid url$'):
        parse_url(url)


@pytest.mark.parametrize(
    'url',
    [
        'ws',
        'ws:',
        'ws:x',
        'ws:/x',
        'ws://:80',
        'ws://user@',
        'ws://?x',
        'a/b:c',
        '1ws://h',
        '://h',
        'wß://h',
    ],
)
def test_other_ways_to_have_neither(url: str) -> None:
    with pytest.raises(ValueError, match=r'^invalid url$'):
        parse_url(url)


@pytest.mark.parametrize(
    ('url', 'text'),
    [
        ('ftp://h', 'scheme must be ws, wss, http, https or ws+unix, not ftp'),
        ('localhost:8080', 'scheme must be ws, wss, http, https or ws+unix, not localhost'),
        ('wss+unix:/a', 'scheme must be ws, wss, http, https or ws+unix, not wss+unix'),
        ('ws://h:x', "port 'x'"),
        ('ws://h:0', "port '0'"),
        ('ws://h:00000', "port '00000'"),
        ('ws://h:65536', "port '65536'"),
        ('ws://h:000080', "port '000080'"),
        ('ws://h:-1', "port '-1'"),
        ('ws://h:٨٠', "port '٨٠'"),
        ('ws://h:80:81', "port '80:81'"),
        ('ws://fe80::1/', "port ':1'"),
        ('ws://[::1]:x', "port 'x'"),
        ('ws://[]', "IPv6 address ''"),
        ('ws://[::x]', "IPv6 address '::x'"),
        ('ws://[1:2]', "IPv6 address '1:2'"),
        ('ws://[127.0.0.1]', "IPv6 address '127.0.0.1'"),
        ('ws://[fe80::1%eth0]', "an IPv6 address with a zone, 'fe80::1%eth0', is not supported"),
        ('ws://[fe80::1%25eth0]:80/', "an IPv6 address with a zone, 'fe80::1%25eth0', is not supported"),
        ('ws://[::1', "host '[::1'"),
        ('ws://[::1]80', "host '[::1]80'"),
        ('ws://a[b]', "host 'a[b]'"),
        ('ws://a%20b', "host 'a%20b'"),
        ('ws://evil\\@127.0.0.1', 'backslash before the path'),
        ('ws://evil\\/@127.0.0.1', 'backslash before the path'),
        ('wss://127.0.0.1\\.evil/', 'backslash before the path'),
        ('ws://\\evil', 'backslash before the path'),
        ('ws://a..b', "host 'a..b'"),
        ('ws://.', "host '.'"),
        ('ws://' + 'a' * 64, f'host {"a" * 64!r}'),
        ('ws://' + 'a.' * 127 + 'a', f'host {"a." * 127 + "a"!r}'),
        ('ws://' + '\xad' * 254 + 'a', f'host {chr(0xAD) * 254 + "a"!r}'),
        ('ws://a℀b', "host 'a℀b'"),
        ('ws://a＠b', "host 'a＠b'"),
        ('ws+unix:', 'a UNIX socket needs an absolute path, as in ws+unix:/file/name:/path'),
        ('ws+unix:a', 'a UNIX socket needs an absolute path, as in ws+unix:/file/name:/path'),
        ('ws+unix:/', 'a UNIX socket needs an absolute path, as in ws+unix:/file/name:/path'),
        ('ws+unix://tmp/a', 'a UNIX socket needs an absolute path, as in ws+unix:/file/name:/path'),
        ('ws+unix:/:/a', 'a UNIX socket needs an absolute path, as in ws+unix:/file/name:/path'),
        ('ws+unix:/?a', 'a UNIX socket needs an absolute path, as in ws+unix:/file/name:/path'),
        ('ws+unix:/a%00', 'NUL in the path of the UNIX socket'),
        ('ws://h/a b', "character ' ' at position 8"),
        (' ws://h', "character ' ' at position 0"),
        ('ws://h/\r\nEvil: 1', "character '\\r' at position 7"),
        ('w\ns://h', "character '\\n' at position 1"),
        ('ws://h/\x7f', "character '\\x7f' at position 7"),
        ('ws://h/\ud800', "character '\\ud800' at position 7"),
    ],
)
def test_the_error_tells_what_is_wrong(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=f'^{re.escape(f"invalid url: {text}")}$'):
        parse_url(url)


def test_longest_host() -> None:
    host = 'a.' * 127
    assert parse_url('ws://' + host).host == host


class Text:
    def __str__(self) -> str:
        return 'ws://host/path'


@pytest.mark.parametrize('url', ['ws://host/path', urlsplit('ws://host/path'), urlparse('ws://host/path'), Text()])
def test_what_stands_for_a_url(url: Any) -> None:
    assert url_text(url) == 'ws://host/path'


@pytest.mark.parametrize(
    'url', [None, 1, 1.5, b'ws://host', bytearray(b'ws://host'), ['ws://host'], ('ws://host',), {}, print, object()]
)
def test_what_does_not(url: Any) -> None:
    text = r'^address must be a str, or an object whose str\(\) is a URL, not '
    with pytest.raises(TypeError, match=f'{text}{type(url).__name__}$'):
        url_text(url)


URLS = st.builds(
    '{}{}{}{}{}'.format,
    st.sampled_from(['ws:', 'wss://', 'ws://', 'https://', 'ws+unix:', 'ws+unix://', 'ftp://', '']),
    st.sampled_from(['', 'user@', 'u:p@', ':@']),
    st.one_of(st.sampled_from(['localhost', '[::1]', '[::g]', 'ä.example', '/tmp/a', '[', ']']), st.text(max_size=10)),
    st.one_of(st.sampled_from(['', ':80', ':0', ':', ':99999', ':/x']), st.text(max_size=4)),
    st.one_of(st.sampled_from(['', '/', '/a?b#c', '?x', '#x']), st.text(max_size=10)),
)


@given(url=st.one_of(st.text(), URLS))
@example('ws://\u3002')
def test_any_text_is_an_address_fit_for_use_or_a_value_error(url: str) -> None:
    try:
        address = parse_url(url)
    except ValueError as error:
        assert re.match('invalid url($|: .)', str(error))
        return
    assert re.fullmatch('/[!-~]*', address.target)
    assert re.fullmatch(r'[a-z0-9._:\[\]-]+', address.host_header)
    if address.socket_path is None:
        assert 1 <= address.port <= 65535
        assert address.host
        address.host.encode('idna')  # as socket.getaddrinfo does
    else:
        assert address.socket_path.startswith('/')
        assert '\0' not in address.socket_path


def test_without_credentials() -> None:
    assert without_credentials('wss://me:secret@example.org/x') == 'wss://example.org/x'
    assert without_credentials('ws://example.org/a@b') == 'ws://example.org/a@b'
