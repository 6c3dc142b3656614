"""Agents: objects of the user's that connect in our place."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Optional
from weakref import WeakSet

from ..events import check_callable
from ..options import Options
from ..protocol.http import RequestParser
from ..protocol.url import Address
from ..typing import AgentOptions

#: What an agent of ours returns if nobody needs to connect in our place.
DIRECT: Any = object()

# The sockets agents have returned. Only for the loop thread.
_claimed: WeakSet[socket.socket] = WeakSet()


class Agent:
    """The option ``agent``, or ``createConnection``, which is the same without the request."""

    def __init__(self, name: str, connect: Callable[..., Any], takes_request: bool) -> None:
        #: The option's.
        self.name = name
        self._connect = connect
        self._takes_request = takes_request

    def connect(self, address: Address, request: bytes, timeout: float) -> Optional[socket.socket]:
        """The connected socket that it yields for `request`, None for DIRECT. `timeout`: the milliseconds it has, 0 for
        no limit. Raises what it raises, and TypeError for anything that is not a socket."""
        options = AgentOptions(
            host=address.host,
            port=address.port,
            secure=address.secure,
            socketPath=address.socket_path,
            path=address.target,
            timeout=timeout,
        )
        given = (RequestParser().feed(request), options) if self._takes_request else (options,)
        sock = self._connect(*given)
        if sock is DIRECT:
            return None
        if not isinstance(sock, socket.socket):
            raise TypeError(f'{self.name} must return a connected socket, not {type(sock).__name__}')
        return sock

    def claim(self, sock: socket.socket) -> Optional[OSError]:
        """What is wrong with a socket that it has yielded. It is closed then, unless it is another connection's."""
        if sock in _claimed:
            return OSError(f'{self.name} must return a new socket for each connection')
        try:
            sock.getpeername()
        except OSError as error:
            sock.close()
            return OSError(f'{self.name} must return a connected socket: {error}')
        _claimed.add(sock)
        return None


def agent_of(options: Options) -> Optional[Agent]:
    """Who connects in our place, if anybody does. Raises TypeError for an object that can't, ValueError for two of
    them."""
    agent, create = options.agent, options.createConnection
    if agent is not None and create is not None:
        raise ValueError('only one of agent and createConnection can make the connection')
    if agent is not None:
        connect = getattr(agent, 'addRequest', agent)
        if not callable(connect):
            raise TypeError(f'agent must be callable, or have a method addRequest, not {type(agent).__name__}')
        check_callable(connect, 'agent')
        return Agent('agent', connect, takes_request=True)
    if create is not None:
        check_callable(create, 'createConnection')
        return Agent('createConnection', create, takes_request=False)
    return None
