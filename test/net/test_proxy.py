"""What the URLs of proxies say."""

from __future__ import annotations

from typing import Any

import pytest

from ws.net.proxy import Proxy, parse_proxy


@pytest.mark.parametrize(
    ('url', 'proxy'),
    [
        ('host', ('http', 'host', 80, None)),
        ('http://host:', ('http', 'host', 80, None)),
        ('HTTP://host:3128/', ('http', 'host', 3128, None)),
        ('[::1]:3128', ('http', '::1', 3128, None)),
        ('127.0.0.1:3128', ('http', '127.0.0.1', 3128, None)),
        ('https://host', ('https', 'host', 443, None)),
        ('https://host.:8443', ('https', 'host.', 8443, None)),
        ('socks4://host', ('socks4', 'host', 1080, None)),
        ('socks4a://me@host:9', ('socks4a', 'host', 9, (b'me', b''))),
        ('socks5://host', ('socks5', 'host', 1080, None)),
        ('Socks5h://me:secret@[::1]:9/', ('socks5h', '::1', 9, (b'me', b'secret'))),
        ('http://me@host', ('http', 'host', 80, (b'me', b''))),
        ('me:p@ss:word@host', ('http', 'host', 80, (b'me', b'p@ss:word'))),
        ('http://m%40:%C3%BC%3a@host', ('http', 'host', 80, (b'm@', 'ü:'.encode()))),
    ],
)
def test_urls(url: str, proxy: Any) -> None:
    assert parse_proxy(url) == Proxy(*proxy)


@pytest.mark.parametrize(
    'url',
    [
        '',
        'ftp://host',
        'socks://host',
        'http://',
        'host:x',
        'host:0',
        'host:65536',
        'host/path',
        'a b',
        '::1',
        'host?q',
        'a..b',
        f'{"a" * 64}.example',
        'http://me:sec/ret@host',
    ],
)
def test_what_is_no_url_of_a_proxy(url: str) -> None:
    with pytest.raises(ValueError, match='invalid proxy') as caught:
        parse_proxy(url)
    assert 'ret' not in str(caught.value)


@pytest.mark.parametrize(
    ('url', 'complaint'),
    [
        ('socks5://me@host', 'must have 1 to 255 characters'),
        ('socks5h://:secret@host', 'must have 1 to 255 characters'),
        (f'socks5h://me:{"secret" * 43}@host', 'must have 1 to 255 characters'),
        ('socks5h://me:secr%C3%A9t@host', 'must be ASCII'),
        ('socks4://me:secret@host', 'SOCKS 4 has user names, but no passwords'),
        ('socks4a://m%00e@host', 'SOCKS 4 has user names, but no passwords'),
    ],
)
def test_credentials_that_socks_has_no_room_for(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        parse_proxy(url)
    assert 'secr' not in str(caught.value)


def test_nothing_shows_the_credentials() -> None:
    proxy = parse_proxy('socks5h://me:secret@[::1]:9')
    assert (str(proxy), repr(proxy), proxy.name) == ('socks5h://[::1]:9', '<Proxy socks5h://[::1]:9>', '[::1]:9')
