"""The server that is attacked: it echoes. Its one argument, in JSON: ``options``, the server's; ``application``, what
else it does; ``descriptors``, how many it may have; ``select``, whether it polls as on Windows.

Prints its port, and then a line for each line it is sent: what it thinks of its connections.
"""

from __future__ import annotations

import json
import resource
import selectors
import sys
from typing import Any

given: dict[str, Any] = json.loads(sys.argv[1])
if given.get('descriptors'):
    resource.setrlimit(resource.RLIMIT_NOFILE, (given['descriptors'], given['descriptors']))
if given.get('select'):
    import ws.net.loop
    from ws.net.poller import SelectorPoller

    selectors.DefaultSelector = selectors.SelectSelector  # type: ignore[misc]
    ws.net.loop.Poller = SelectorPoller  # type: ignore[misc]

from ws import WebSocketServer  # noqa: E402

options: dict[str, Any] = {'port': 0, 'host': '127.0.0.1', **given.get('options', {})}
application = given.get('application')


def look_at_cookies(info: Any) -> bool:
    _ = info.req.cookies
    return True


if application == 'cookies':
    options['verifyClient'] = look_at_cookies
if options.get('maxPayload') == 'no limit':
    options['maxPayload'] = sys.maxsize
wss = WebSocketServer(options)
figures = {'messages': 0, 'errors': 0}


@wss.on('connection')
def connection(ws: Any) -> None:
    ws.on('message', lambda message, flags: answer(ws, message, flags))
    if application == 'hears errors':
        ws.on('error', lambda error: count('errors'))


def answer(ws: Any, message: Any, flags: Any) -> None:
    count('messages')
    if len(message) <= 1 << 20 or application == 'echoes everything':
        ws.send(message, {'binary': flags.binary})


def count(name: str) -> None:
    figures[name] += 1


@wss.on('headers')
def headers(lines: list[str], request: Any) -> None:
    extra = {'empty header line': '', 'folded header line': ' Set-Cookie: x'}.get(str(application))
    if extra is not None and request.url == '/':
        lines.append(extra)


address = wss.address()
print(address.port, flush=True)  # type: ignore[union-attr]
for _line in sys.stdin:
    print(json.dumps({**figures, 'clients': len(wss.clients)}), flush=True)
wss.close()
