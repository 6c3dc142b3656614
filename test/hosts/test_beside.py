"""A web server on the main thread beside a WebSocket server on a port of its own: Ctrl-C is pressed once."""

from __future__ import annotations

import signal

import pytest
from documents import free_port
from hosts.process import Hosts, joined, needs, page

SERVE = """
    from ws import WebSocketServer

    wss = WebSocketServer(port={ws}, host='127.0.0.1')
    wss.on('connection', lambda ws: ws.send('hello'))

    def application(environ, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [b'page']
"""
# Some of these pass KeyboardInterrupt on; the others return.
RUN = {
    'Flask': """
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule('/', 'index', lambda: 'page')
    app.run(port={http})
""",
    'waitress': """
    import waitress

    waitress.serve(application, listen='127.0.0.1:{http}')
""",
    'Werkzeug': """
    from werkzeug.serving import run_simple

    run_simple('127.0.0.1', {http}, application, threaded=True)
""",
    'wsgiref': """
    from wsgiref.simple_server import make_server

    try:
        make_server('127.0.0.1', {http}, application).serve_forever()
    except KeyboardInterrupt:
        pass
""",
}


@pytest.mark.parametrize(
    'name',
    [pytest.param(name, marks=[pytest.mark.hosts, needs(name)] if name == 'waitress' else []) for name in RUN],
)
def test_ctrl_c_once(hosts: Hosts, name: str) -> None:
    with free_port() as http, free_port() as ws:
        host = hosts.script((SERVE + RUN[name]).format(http=http, ws=ws))
        assert page(http) == 'page'
        with joined(ws) as (_ws, log):
            assert log.until('message')[-1][1] == 'hello'
            host.interrupt()
            assert log.until('close')[-1] == ('close', 1001, '')
        assert host.ends() in (0, -signal.SIGINT)
    assert 'Traceback' not in host.output
    assert 'Exception' not in host.output
