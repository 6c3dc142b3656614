"""``http_proxy`` and its sisters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from proxies import proxy_variables

from ws import ProxyError
from ws.client.environment import proxy_of_environment

Set = Callable[..., None]


@pytest.fixture
def environment() -> Iterator[Set]:
    """Sets variables; at first, there is none of those in question."""
    with proxy_variables() as patch:

        def set_variables(**values: str) -> None:
            for name, value in values.items():
                patch.setenv(name, value)

        yield set_variables


def found(secure: bool = False, host: str = 'host.example', port: int = 8080) -> str:
    """The host of the proxy."""
    proxy = proxy_of_environment(secure, host, port)
    return proxy.host if proxy is not None else ''


def test_which_variable_is_for_what(environment: Set) -> None:
    assert (found(False), found(True)) == ('', '')
    environment(all_proxy='socks5h://all')
    assert (found(False), found(True)) == ('all', 'all')
    environment(http_proxy='http://plain')
    assert (found(False), found(True)) == ('plain', 'all')
    environment(https_proxy='secure:3128')
    assert (found(False), found(True)) == ('plain', 'secure')
    environment(http_proxy='', https_proxy=' ')
    assert (found(False), found(True)) == ('all', 'all')
    environment(all_proxy='')
    assert (found(False), found(True)) == ('', '')


def test_upper_case(environment: Set) -> None:
    environment(HTTP_PROXY='upper', HTTPS_PROXY='upper')
    assert (found(False), found(True)) == ('upper', 'upper')
    environment(http_proxy='lower', https_proxy='')
    assert (found(False), found(True)) == ('lower', '')
    environment(ALL_PROXY='all', NO_PROXY='host.example')
    assert (found(False), found(True)) == ('', '')
    environment(no_proxy='')
    assert (found(False), found(True)) == ('lower', 'all')


def test_what_a_cgi_program_s_client_sets_does_not_count(environment: Set) -> None:
    """Its header ``Proxy`` is the variable ``HTTP_PROXY``."""
    environment(REQUEST_METHOD='GET', HTTP_PROXY='attacker', HTTPS_PROXY='secure')
    assert (found(False), found(True)) == ('', 'secure')
    environment(http_proxy='lower')
    assert found(False) == 'lower'


@pytest.mark.parametrize('value', ['ftp://me:secret@host', 'me:sec/ret', 'http://'])
def test_a_variable_that_names_no_proxy(environment: Set, value: str) -> None:
    environment(https_proxy=value)
    assert found(False) == ''
    with pytest.raises(ProxyError) as caught:
        found(True)
    text = 'the environment variable https_proxy must be like http://user:password@host:port'
    assert (str(caught.value), caught.value.status) == (text, None)


@pytest.mark.parametrize(
    ('entries', 'host', 'port', 'excepted'),
    [
        ('', 'host.example', 80, False),
        ('*', 'host.example', 80, True),
        ('other.example, *', 'host.example', 80, True),
        ('host.example', 'host.example', 80, True),
        ('HOST.Example', 'host.example.', 80, True),
        ('host.example.', 'host.example', 80, True),
        ('example', 'host.example', 80, True),
        ('.example', 'host.example', 80, True),
        ('*.example', 'host.example', 80, True),
        ('.host.example', 'host.example', 80, True),
        ('ost.example', 'host.example', 80, False),
        ('host', 'host.example', 80, False),
        ('a.example,,host.example', 'host.example', 80, True),
        ('a.example host.example', 'host.example', 80, True),
        ('host.example:80', 'host.example', 80, True),
        ('host.example:80', 'host.example', 81, False),
        ('example:81', 'host.example', 81, True),
        ('.', 'host.example', 80, False),
        (':80', 'host.example', 80, False),
        ('localhost', 'localhost', 80, True),
        ('localhost', '127.0.0.1', 80, False),
        ('127.0.0.1', '127.0.0.1', 80, True),
        ('0.0.1', '127.0.0.1', 80, False),
        ('127.0.0.1:80', '127.0.0.1', 80, True),
        ('127.0.0.1:80', '127.0.0.1', 81, False),
        ('10.0.0.0/8', '10.1.2.3', 80, True),
        ('10.1.2.3/8', '10.200.2.3', 80, True),
        ('10.0.0.0/8', '11.1.2.3', 80, False),
        ('10.0.0.0/8', 'ten.example', 80, False),
        ('10.0.0.0/99', '10.1.2.3', 80, False),
        ('10.0.0.0/8', '::1', 80, False),
        ('::1', '::1', 80, True),
        ('[::1]', '::1', 80, True),
        ('[::1]:80', '::1', 80, True),
        ('[::1]:80', '::1', 81, False),
        ('0:0:0:0:0:0:0:1', '::1', 80, True),
        ('fe80::/10', 'fe80::1', 80, True),
    ],
)
def test_exceptions(environment: Set, entries: str, host: str, port: int, excepted: bool) -> None:
    environment(all_proxy='proxy', no_proxy=entries)
    assert (found(False, host, port) == '') is excepted
