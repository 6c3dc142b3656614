"""What a fork and multiprocessing leave to the parent and to the child (doc/threads.md), as real child processes."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from scripts import SITE, Scripts, needs_late_threads
from support import HANDSHAKE, Log, read_all

from ws import WebSocket


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_fork(script: Scripts) -> None:
    """The child has a loop of its own and none of the parent's sockets; the parent's stay as they were."""
    child = script(
        """
        import os, sys, threading, warnings
        warnings.simplefilter('ignore', DeprecationWarning)  # 3.12 and later warn of what is tested here
        from ws import WebSocket, WebSocketServer

        wss = WebSocketServer(port=0, host='127.0.0.1')
        wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(f'{os.getpid()} {message}')))
        url = f'ws://127.0.0.1:{wss.address().port}'

        def talk(url, text):
            answered = threading.Event()
            answers = []
            ws = WebSocket(url)
            ws.on('open', lambda: ws.send(text))
            ws.on('message', lambda answer: (answers.append(answer), answered.set()))
            assert answered.wait(10), 'no answer'
            return ws, answers

        ws, answers = talk(url, 'before')
        assert answers == [f'{os.getpid()} before']
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                assert ws.readyState == WebSocket.CLOSED and not wss.clients and wss.address() is None
                ws.send('from the child')  # goes nowhere
                own = WebSocketServer(port=0, host='127.0.0.1')
                own.on('connection', lambda ws: ws.on('message', lambda message: ws.send(f'{os.getpid()} {message}')))
                other, answers = talk(f'ws://127.0.0.1:{own.address().port}', 'child')
                assert answers == [f'{os.getpid()} child'], answers
                other, answers = talk(url, 'to the parent')
                assert answers == [f'{parent} to the parent'], answers
                os._exit(0)
            except BaseException as error:
                print('child:', repr(error), flush=True)
                os._exit(1)
        status = os.waitpid(pid, 0)[1]
        assert status == 0, status
        again = threading.Event()
        ws.once('message', again.set)
        ws.send('after')
        assert again.wait(10), 'the connection broke'
        print('fine', flush=True)
        ws.close()
        wss.close()
        """
    )
    assert child.end() == (0, 'fine\n', '')


@needs_late_threads
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_fork_in_a_listener(script: Scripts) -> None:
    child = script(
        """
        import os, sys, warnings
        warnings.simplefilter('ignore', DeprecationWarning)
        from ws import WebSocket, WebSocketServer

        wss = WebSocketServer(port=0, host='127.0.0.1')
        ws = WebSocket(f'ws://127.0.0.1:{wss.address().port}')

        def on_connection(peer):
            if os.fork() == 0:
                os._exit(0)
            os.wait()
            peer.send('still there')

        wss.on('connection', on_connection)
        ws.on('open', lambda: None)
        ws.on('message', lambda message: (print(message), wss.close()))
        """
    )
    assert child.end() == (0, 'still there\n', '')


def test_multiprocessing_with_fork(script: Scripts) -> None:
    if sys.platform == 'win32':
        pytest.skip('this platform has no fork')
    child = script(
        """
        import multiprocessing, os, warnings
        warnings.simplefilter('ignore', DeprecationWarning)
        from ws import WebSocketServer

        def work(queue):
            own = WebSocketServer(port=0, host='127.0.0.1')
            queue.put(own.address().port)
            own.close()

        wss = WebSocketServer(port=0, host='127.0.0.1')
        context = multiprocessing.get_context('fork')
        queue = context.Queue()
        process = context.Process(target=work, args=(queue,))
        process.start()
        assert queue.get(timeout=10) > 0
        process.join(10)
        assert process.exitcode == 0, process.exitcode
        wss.close()
        print('fine')
        """
    )
    assert child.end() == (0, 'fine\n', '')


@pytest.mark.skipif(not Path('/proc/self/fd').exists(), reason='descriptors are counted in /proc')
def test_after_a_fork_the_shared_server_is_the_parents(script: Scripts) -> None:
    """The child has none of its connections, those that are still being considered included, and may have its own."""
    child = script(
        SITE
        + """
    import os, time, warnings
    warnings.simplefilter('ignore', DeprecationWarning)  # 3.12 and later warn of what is tested here
    waiting = threading.Event()
    slow = WebSocketServer(server=httpd, path='/slow', verifyClient=lambda info, callback: waiting.set())
    print(httpd.server_port, flush=True)
    waiting.wait()
    opening = next(iter(slow._openings))
    while len(opening._rest) < 65536:
        time.sleep(0.01)
    if os.fork():
        print('parent', flush=True)
        sys.stdin.readline()
        wss.close()
        slow.close()
    else:
        def sockets():
            found = [os.readlink(f'/proc/self/fd/{number}') for number in os.listdir('/proc/self/fd') if
                     os.path.exists(f'/proc/self/fd/{number}')]
            return sum(name.startswith('socket:') for name in found)
        print('child', sockets(), wss.address(), len(wss.clients), flush=True)
        wss.close()
        own = WebSocketServer(server=httpd)
        print('child', list(httpd._webSocketPaths) == ['/slow', None], flush=True)
        os._exit(0)
    """
    )
    port = child.line()
    ws = WebSocket(f'ws://127.0.0.1:{port}')
    log = Log(ws)
    log.until('open')
    with socket.create_connection(('127.0.0.1', int(port))) as slow:
        slow.sendall(HANDSHAKE % b'/slow' + bytes(80_000))
        lines = [child.line() for _ in range(3)]
        # One socket: that on which the HTTP server listens.
        assert sorted(lines) == ['child 1 None 0', 'child True', 'parent']
        ws.send('unharmed')
        assert log.until('message')[-1][1] == 'unharmed'
        assert child.process.stdin is not None
        child.process.stdin.write('\n')
        child.process.stdin.flush()
        assert read_all(slow).startswith(b'HTTP/1.1 503 ')
    assert log.get() == ('close', 1001, '')
    assert child.end()[0] == 0
