"""Every example of doc/faq.md does what the text around it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import Checks, Runner, connect, free_port, port_of
from proxies import connect_proxy, proxy_variables
from support import server

FAQ = Checks('doc/faq.md')


@pytest.mark.parametrize('name', FAQ.names())
def test_example(name: str, tmp_path: Path) -> None:
    FAQ.run(name, tmp_path)


@FAQ.check('My server ends at once')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'hello'
    program.signal(2)
    assert log.get() == ('close', 1001, '')
    assert program.wait() == -2
    assert program.errors().endswith('KeyboardInterrupt\n')


@FAQ.check('How do I send to one client?')
def _(run: Runner) -> None:
    program, port = run.serve()
    ann, ann_log = connect(port, '/ann')
    ann_log.until('open')
    ben, ben_log = connect(port, '/ben')
    ben_log.until('open')
    ben.send('ann: hello')
    assert ann_log.get()[1] == 'hello'
    ben.send('nobody: hello')
    ann.send('ben: hi')
    assert ben_log.get()[1] == 'hi'
    program.stops()


@FAQ.check('How do I reconnect?')
def _(run: Runner) -> None:
    program, connections = run.call()
    for message in 'one', 'two':
        ws, _request, log = connections.get()
        assert log.get()[1] == 'here I am'
        ws.send(message)
        assert program.line() == f'received: {message}'
        if message == 'one':
            ws.terminate()
    program.stops()


@FAQ.check('How do I reconnect? (2)')
def _(run: Runner) -> None:
    program, connections = run.call()
    for message in 'one', 'two':
        ws, _request, log = connections.get()
        assert log.get()[1] == 'here I am'
        ws.send(message)
        assert program.line() == f'received: {message}'
        ws.terminate()
    connections.get()
    program.stops()


@FAQ.check('Why do I get 1006?')
def _(run: Runner) -> None:
    with free_port() as port:
        program = run.start(port)
        assert 'refused' in program.line()
        program.ends('closed with 1006')


@FAQ.check('How do I connect through a proxy?')
def _(run: Runner) -> None:
    with server() as wss, connect_proxy(to=port_of(wss)) as proxy:
        with proxy_variables(http_proxy=f'http://{proxy.address}'):
            run.start(8080).ends()
        assert proxy.requests == [('example.org:80', '')]
    with proxy_variables(all_proxy=proxy.address):
        program = run.start(8080)
        assert program.line() == f'proxy: the proxy {proxy.address} is out of reach: Connection refused'
        program.ends()


@FAQ.check('Can I use it with asyncio?')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[:2] == ('message', 'question')
    ws.send('42')
    assert log.get() == ('close', 1000, '')
    program.ends('the answer: 42')


@FAQ.check('How do I see what goes on?')
def _(run: Runner) -> None:
    program, connections = run.call()
    assert connections.get()[2].get() == ('close', 1000, '')
    assert program.wait() == 0
    errors = program.errors()
    assert 'DEBUG:ws:' in errors
    assert 'GET / HTTP/1.1' in errors
