"""What every server in Python is told, in its one argument, as JSON: see the class Settings."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Coroutine
from typing import Any, Optional


class Settings:
    def __init__(self, given: dict[str, Any]) -> None:
        self.broadcast: bool = given['mode'] == 'broadcast'
        self.deflate: bool = given['deflate']
        self.options: bool = given.get('options', False)
        #: On how many threads listeners run; 0: on that of the sockets.
        self.threads: int = given.get('threads', 0)
        self.uvloop: bool = given.get('uvloop', False)
        self.without: Optional[str] = given.get('without')  # a compiled module that is not to be used
        self.certificate: Optional[str] = given.get('certificate')  # files in PEM
        self.key: Optional[str] = given.get('key')

    def ssl_context(self) -> Optional[ssl.SSLContext]:
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


settings = Settings(json.loads(sys.argv[1]))
if settings.without:
    sys.modules[settings.without] = None  # type: ignore[assignment] an import raises ImportError


def announce(port: int) -> None:
    """Tells the port the server listens on."""
    print(port, flush=True)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs it on uvloop or asyncio."""
    if settings.uvloop:
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)
