"""What a class consists of is the same with and without the accelerator: functions that tests of users' can patch."""

from __future__ import annotations

import inspect
import pickle
import pydoc
from unittest import mock

import pytest
from support import client, echo_server, end, wait_for

from ws import Receiver, Sender, WebSocket, WebSocketServer
from ws.net.stream import Stream
from ws.protocol import sender


@pytest.mark.parametrize('cls', [WebSocket, WebSocketServer, Receiver, Sender, Stream, sender.Sender])
def test_every_method_is_a_function(cls: type) -> None:
    own = [one for base in cls.__mro__ if base.__module__.startswith('ws.') for one in vars(base).items()]
    methods = {name: value for name, value in own if callable(value) and not isinstance(value, (type, staticmethod))}
    methods.pop('__class_getitem__', None)
    assert methods
    for name, method in methods.items():
        if name != '_abc_impl':
            assert inspect.isfunction(method), name
            assert method.__code__.co_filename == inspect.getsourcefile(inspect.getmodule(method)), name
            assert not hasattr(method, '__wrapped__') or name == '__init__', name


def test_a_method_shows_what_it_is() -> None:
    assert 'Send a message.' in pydoc.render_doc(WebSocket.send)
    assert inspect.getsource(WebSocket.send).lstrip().startswith('def send(')
    assert list(inspect.signature(WebSocket.send).parameters)[:4] == ['self', 'data', 'options', 'callback']
    assert pickle.loads(pickle.dumps(WebSocket.send)) is WebSocket.send


def test_a_patched_method_is_called_with_its_object() -> None:
    with echo_server() as server:
        ws = client(server)
        wait_for(ws, 'open')
        with mock.patch.object(WebSocket, 'send', autospec=True) as send:
            ws.send('hello', {'binary': False})
        assert send.call_args_list == [mock.call(ws, 'hello', {'binary': False})]
        end(ws)
