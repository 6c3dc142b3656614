"""uvicorn with a bare ASGI application. It compresses with zlib's level 6, memLevel 5 and windows of 12 bits."""

import socket

import uvicorn
from common import announce, run, settings

clients = set()


async def app(scope, receive, send):
    await receive()
    await send({'type': 'websocket.accept'})
    clients.add(send)
    while (event := await receive())['type'] == 'websocket.receive':
        answer = {'type': 'websocket.send', 'text': event.get('text'), 'bytes': event.get('bytes')}
        for each in list(clients) if settings.broadcast else [send]:
            await each(answer)
    clients.discard(send)


async def main():
    config = uvicorn.Config(
        app,
        http='httptools',
        ws='websockets-sansio',
        ws_max_size=32 << 20,
        ws_ping_interval=None,
        ws_per_message_deflate=settings.deflate,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        lifespan='off',
        log_level='error',
        access_log=False,
    )
    listener = socket.create_server(('127.0.0.1', 0), backlog=1024)
    announce(listener.getsockname()[1])
    await uvicorn.Server(config).serve([listener])


run(main())
