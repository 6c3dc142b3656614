"""How the process lives and ends (doc/threads.md), as real child processes."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from interrupts import looks_between_calls
from scripts import MASKED, SECONDS, SITE, Scripts, needs_late_threads
from support import HANDSHAKE, PYTHONPATH, Log, Waiter, end, read_all, read_head, server, until_at_rest, url_of

from ws import WebSocket

SERVER = """
    import sys
    from ws import WebSocket, WebSocketServer

    wss = WebSocketServer(port=0, host='127.0.0.1')
    wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
    print(wss.address().port, flush=True)
"""


def connect(port: str) -> Log:
    log = Log(WebSocket(f'ws://127.0.0.1:{port}'))
    log.until('open')
    return log


def test_a_server_goes_on_after_the_last_line_and_ctrl_c_ends_it(script: Scripts) -> None:
    child = script(SERVER)
    log = connect(child.line())
    child.interrupt()
    started = time.monotonic()
    status, output, errors = child.end()
    assert time.monotonic() - started < 1
    assert (status, output, errors) == (-signal.SIGINT, '', '')
    assert log.get() == ('close', 1001, '')


def test_it_echoes_after_the_last_line(script: Scripts) -> None:
    child = script(SERVER)
    ws = WebSocket(f'ws://127.0.0.1:{child.line()}')
    log = Log(ws, 'open', 'message', 'close')
    log.until('open')
    ws.send('still there?')
    assert log.get()[1] == 'still there?'
    child.interrupt()
    assert log.get() == ('close', 1001, '')
    assert child.end()[0] == -signal.SIGINT


@pytest.mark.parametrize('rest', ['', '    import ws; ws.wait()'], ids=['last line', 'wait()'])
def test_ctrl_c_may_come_just_before_the_main_thread_waits(script: Scripts, rest: str) -> None:
    child = script(f'{SERVER}{MASKED}{rest}')
    log = connect(child.line())
    child.interrupt()
    status, _output, errors = child.end()
    assert (status, bool(errors)) == (-signal.SIGINT, bool(rest))  # the traceback of a KeyboardInterrupt
    assert log.get() == ('close', 1001, '')


#: Forks a child for each step of what the main thread does after its last line, and has Ctrl-C come at that step, until
#: there is a child that has looked again and again while it waits.
AT_EACH_STEP = """
    import itertools
    import os
    import signal
    import sys
    import threading
    import time
    sys.path.append(sys.argv[1])
    from interrupts import Steps
    import ws
    from ws.net import changes, lifetime, loop, main_thread

    changes.INTERRUPT_POLL = 0.01

    def begin():
        sys.settrace(steps)

    def end_when_it_waits():
        waits_since, began = None, time.monotonic()
        while waits_since is None or steps.count < waits_since + 10:
            if time.monotonic() - began > 20:
                print('lives on, interrupted in', steps.where, file=sys.stderr, flush=True)
                os._exit(3)
            time.sleep(0.01)  # nothing tells of steps
            if waits_since is None and lifetime.get_loop()._changes._waiting:
                waits_since = steps.count
        os._exit(0)

    for step in itertools.count(1):
        pid = os.fork()
        if not pid:
            steps = Steps(step, changes, lifetime, loop, main_thread)
            wss = ws.WebSocketServer(port=0, host='127.0.0.1')
            threading._register_atexit(begin)  # called before ours
            threading.Thread(target=end_when_it_waits, daemon=True).start()
            break
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(status, flush=True)
        if status != -signal.SIGINT:
            os._exit(status)
"""


@looks_between_calls
def test_ctrl_c_may_come_at_any_step_after_the_last_line(script: Scripts) -> None:
    child = script(AT_EACH_STEP, os.path.dirname(__file__))
    status = str(-signal.SIGINT)
    statuses = list(itertools.takewhile(lambda line: line == status, iter(child.line, None)))
    assert child.end() == (0, '', '')
    assert len(statuses) > 30  # there are as many


def test_in_a_shell_the_status_is_130(script: Scripts) -> None:
    result = subprocess.run(
        ['sh', '-c', '"$0" -c "$1"; echo $?', sys.executable, textwrap.dedent(SERVER) + _LATER],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, 'PYTHONPATH': PYTHONPATH},
    )
    assert result.stdout.split()[-1] == '130'
    assert result.stderr == ''


#: Interrupts the process from a listener: by then the main thread waits in the exit hook, or soon will.
_LATER = """
import os, signal, threading
def later():
    threading.main_thread().join(0.3)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=later, daemon=True).start()
"""


def test_ctrl_c_runs_the_exit_functions_and_flushes(script: Scripts) -> None:
    child = script(SERVER + "    import atexit\n    atexit.register(lambda: print('exit function', end=''))\n")
    connect(child.line())
    child.interrupt()
    assert child.end() == (-signal.SIGINT, 'exit function', '')


def test_ctrl_c_with_a_client_that_never_answers_takes_half_a_second(script: Scripts) -> None:
    child = script(SERVER)
    with socket.create_connection(('127.0.0.1', int(child.line())), timeout=SECONDS) as sock:
        sock.sendall(HANDSHAKE % b'/')
        read_head(sock)
        child.interrupt()
        started = time.monotonic()  # now that it has come to rest
        assert read_all(sock) == b'\x88\x02\x03\xe9'  # going away
        assert child.end()[::2] == (-signal.SIGINT, '')
        assert time.monotonic() - started < 1.5


def test_ctrl_c_before_the_last_line_is_an_ordinary_keyboard_interrupt(script: Scripts) -> None:
    child = script(SERVER + '    import time\n    time.sleep(60)\n')
    log = connect(child.line())
    child.interrupt()
    status, _, errors = child.end()
    assert status == -signal.SIGINT
    assert errors.strip().endswith('KeyboardInterrupt')
    assert 'Exception ignored' not in errors
    assert log.get() == ('close', 1001, '')


def test_an_uncaught_exception_ends_the_process(script: Scripts) -> None:
    child = script(SERVER + "    sys.stdin.readline()\n    raise LookupError('broken')\n")
    log = connect(child.line())
    _, errors = child.process.communicate('\n', timeout=SECONDS)
    assert child.process.returncode == 1
    assert 'LookupError: broken' in errors
    assert log.get() == ('close', 1001, '')


def test_a_signal_handler_may_call_sys_exit(script: Scripts) -> None:
    code = 'import signal\n    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n'
    child = script(SERVER.replace('import sys\n', 'import sys\n    ' + code))
    log = connect(child.line())
    until_at_rest(child.process.pid)
    child.process.terminate()
    assert child.end() == (7, '', '')
    assert log.get() == ('close', 1001, '')


def test_a_client_script_ends_when_its_socket_closes(script: Scripts) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        child = script(
            """
            import sys
            from ws import WebSocket

            ws = WebSocket(sys.argv[1])
            ws.on('open', lambda: print('open', flush=True))
            ws.on('message', lambda message: print(message, flush=True))
            ws.on('close', lambda code, reason: print('close', code, reason, flush=True))
            """,
            url_of(wss),
        )
        peer = connected.get()[0]
        assert child.line() == 'open'
        peer.send('hello')
        assert child.line() == 'hello'
        assert child.process.poll() is None
        peer.close(1000, 'done')
        assert child.end() == (0, 'close 1000 done\n', '')


def test_a_client_that_fails_to_connect_ends_with_the_reason(script: Scripts) -> None:
    with server() as wss:
        address = url_of(wss)
    status, output, errors = script('import sys; from ws import WebSocket; WebSocket(sys.argv[1])', address).end()
    assert (status, output) == (1, '')
    assert 'ConnectionRefusedError' in errors
    assert 'Exception ignored' not in errors


def test_unref_lets_the_process_end(script: Scripts) -> None:
    child = script(SERVER + '    wss.unref()\n    sys.stdin.readline()\n')
    port = child.line()
    ws = WebSocket(f'ws://127.0.0.1:{port}')
    log = Log(ws)
    log.until('open')
    assert child.process.stdin is not None
    child.process.stdin.write('\n')
    child.process.stdin.flush()
    # The server is not waited for, the connection still is.
    ws.send('hello')
    assert log.get()[1] == 'hello'
    ws.close()
    assert log.get() == ('close', 1000, '')
    assert child.end() == (0, '', '')


def test_a_constructor_may_unref(script: Scripts) -> None:
    child = script(
        """
        from ws import WebSocketServer

        class Server(WebSocketServer):
            def __init__(self):
                super().__init__(port=0, host='127.0.0.1')
                self.unref()

        wss = Server()
        """
    )
    assert child.end() == (0, '', '')


def test_ref_takes_unref_back(script: Scripts) -> None:
    child = script(SERVER + '    wss.unref()\n    wss.ref()\n')
    log = connect(child.line())
    child.interrupt()
    assert log.get() == ('close', 1001, '')
    assert child.end()[0] == -signal.SIGINT


def test_an_unreferenced_client_is_closed_properly_at_exit(script: Scripts) -> None:
    with server() as wss:
        closed = Waiter()
        wss.on('connection', lambda ws: ws.on('close', closed))
        child = script(
            """
            import sys, threading
            from ws import WebSocket

            ws = WebSocket(sys.argv[1])
            opened = threading.Event()
            ws.on('open', opened.set)
            ws.unref()
            opened.wait()
            """,
            url_of(wss),
        )
        assert closed.get() == (1001, '')
        assert child.end() == (0, '', '')


@needs_late_threads
def test_sockets_of_other_threads_count_too(script: Scripts) -> None:
    """Made after the main thread's last line, by a thread that ends before the socket does."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        child = script(
            """
            import sys, threading, time
            from ws import WebSocket

            def work():
                threading.main_thread().join()
                time.sleep(0.1)
                ws = WebSocket(sys.argv[1])
                ws.on('message', lambda message: (print(message), ws.close()))
                ws.on('open', lambda: None)

            threading.Thread(target=work).start()
            """,
            url_of(wss),
        )
        peer = connected.get()[0]
        peer.send('late')
        assert child.end() == (0, 'late\n', '')


@needs_late_threads
def test_listeners_may_use_a_pool_after_the_last_line(script: Scripts) -> None:
    """The pools of concurrent.futures must not be shut down before the sockets are."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        child = script(
            """
            import sys
            from concurrent.futures import ThreadPoolExecutor
            from ws import WebSocket

            pool = ThreadPoolExecutor(2)
            ws = WebSocket(sys.argv[1])
            ws.on('open', lambda: None)
            ws.on('message', lambda message: pool.submit(lambda: ws.send(message.upper())))
            """,
            url_of(wss),
        )
        peer = connected.get()[0]
        answers = Waiter()
        peer.on('message', answers)
        for number in range(3):
            peer.send(f'a{number}')
            assert answers.get()[0] == f'A{number}'
        peer.close()
        assert child.end() == (0, '', '')


@needs_late_threads
def test_what_a_pool_is_at_work_on_may_open_something(script: Scripts) -> None:
    """For that time, nothing else keeps the program."""
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        child = script(
            """
            import sys, time
            from concurrent.futures import ThreadPoolExecutor
            from ws import WebSocket

            pool = ThreadPoolExecutor(2)
            pool.submit(print, 'begun').result()  # now one of its threads is idle

            def connect():
                time.sleep(0.3)
                ws = WebSocket(sys.argv[1])
                ws.on('message', lambda message: (print(message), ws.close()))

            first = WebSocket(sys.argv[1])
            first.on('message', lambda: first.close())
            first.on('close', lambda: pool.submit(connect))
            """,
            url_of(wss),
        )
        assert child.end() == (0, 'begun\nhello\n', '')


@needs_late_threads
@pytest.mark.parametrize(
    'soon',
    [
        pytest.param('timer = threading.Timer(0.05, connect); timer.start(); threads.append(timer)', id='timer'),
        pytest.param('thread = threading.Thread(target=connect); thread.start(); threads.append(thread)', id='thread'),
        pytest.param('work.append(pool.submit(connect))', id='pool'),
    ],
)
def test_who_has_opened_something_may_have_ended_before_the_main_thread_looks(script: Scripts, soon: str) -> None:
    """As on a machine that has no time for it."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        child = script(
            f"""
            import sys, threading
            from concurrent.futures import ThreadPoolExecutor
            from ws import WebSocket

            pool, work, threads, enumerate = ThreadPoolExecutor(1), [], [], threading.enumerate

            def enumerate_late():
                for thread in threads:
                    thread.join()
                for one in work:
                    one.result()
                return enumerate()

            def connect():
                ws = WebSocket(sys.argv[1])
                ws.on('message', lambda message: print(message))
                ws.on('close', again)

            def again(code):
                if code != 1000:
                    {soon}

            threading.enumerate = enumerate_late
            connect()
            """,
            url_of(wss),
        )
        for _ in range(3):
            connected.get()[0].terminate()
        ws = connected.get()[0]
        ws.send('here I am')
        ws.close(1000)
        assert child.end() == (0, 'here I am\n', '')


@pytest.mark.parametrize('last, status', [('', 0), ('sys.exit(3)', 3)])
def test_imported_by_another_thread(script: Scripts, last: str, status: int) -> None:
    """How the main thread ends is known all the same."""
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
        child = script(
            f"""
            import sys, threading

            def connect():
                from ws import WebSocket
                ws = WebSocket(sys.argv[1])
                ws.on('open', lambda: (opened.set(), ws.send('hello')))
                ws.on('message', lambda message: (print(message), ws.close()))

            opened = threading.Event()
            threading.Thread(target=connect).start()
            opened.wait()
            {last}
            """,
            url_of(wss),
        )
        exit_status, output, errors = child.end()
        assert (exit_status, errors) == (status, '')
        assert output == ('hello\n' if not last else output)


@pytest.mark.parametrize('host', ['localhost', '127.0.0.1'])
def test_connecting_in_a_listener_after_the_last_line(script: Scripts, host: str) -> None:
    """A name look-up needs a thread, and late in its life an interpreter may refuse to start one."""
    with server() as wss:
        wss.on('connection', lambda: None)
        child = script(
            """
            import sys
            from ws import WebSocket

            first = WebSocket(sys.argv[1])
            def again():
                second = WebSocket(sys.argv[1])
                second.on('open', lambda: (print('second'), second.close()))
                first.close()
            first.on('open', again)
            """,
            f'ws://{host}:{wss.address().port}/',
        )
        assert child.end() == (0, 'second\n', '')


def test_the_interactive_prompt_does_not_wait(script: Scripts) -> None:
    child = script('', flags=('-i',))
    code = textwrap.dedent(SERVER).strip() + '\n'
    _, errors = child.process.communicate(code, timeout=SECONDS)
    assert child.process.returncode == 0
    assert 'Error' not in errors and 'Exception' not in errors


def test_nothing_is_printed_by_itself(script: Scripts) -> None:
    """A hostile or broken peer writes nothing into the user's terminal."""
    child = script(SERVER)
    port = int(child.line())
    for rubbish in (b'\x16\x03\x01\x00\x00', b'GET / HTTP/9.9\r\n\r\n', b'\0' * 100, b'GET / HTTP/1.1\r\n\r\n'):
        with socket.create_connection(('127.0.0.1', port), timeout=SECONDS) as sock:
            sock.sendall(rubbish)
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
    with socket.create_connection(('127.0.0.1', port), timeout=SECONDS) as sock:
        sock.sendall(HANDSHAKE % b'/' + b'\x81\x85abcd')
    child.interrupt()
    status, output, errors = child.end()
    assert (status, output, errors) == (-signal.SIGINT, '', '')


def test_what_a_client_does_wrong_is_no_exception_of_the_server_s(script: Scripts) -> None:
    child = script(SERVER)
    with socket.create_connection(('127.0.0.1', int(child.line())), timeout=SECONDS) as sock:
        sock.sendall(HANDSHAKE % b'/' + b'\xff\xff')
        assert read_all(sock).endswith(b'\x88\x02\x03\xea')
    child.interrupt()
    assert child.end() == (-signal.SIGINT, '', '')


# -- servers without a port of their own ------------------------------------------------------------------------------


@pytest.mark.parametrize('options', ['server=httpd, path="/a"', 'noServer=True'])
def test_a_server_without_a_port_does_not_keep_the_process(script: Scripts, options: str) -> None:
    assert script(f'{SITE}\n    other = WebSocketServer({options})').end() == (0, '', '')


def test_unless_ref_says_so(script: Scripts) -> None:
    child = script(f'{SITE}\n    wss.ref()\n    print(httpd.server_port, flush=True)')
    port = child.line()
    for _ in range(2):  # nothing else is open between the two
        end(WebSocket(f'ws://127.0.0.1:{port}'))
    log = connect(port)
    child.interrupt()
    assert log.get() == ('close', 1001, '')
    assert child.end() == (-signal.SIGINT, '', '')


def test_its_connections_keep_the_process(script: Scripts) -> None:
    child = script(
        f'{SITE}\n    opened = threading.Event()\n    wss.on("connection", opened.set)\n'
        '    print(httpd.server_port, flush=True)\n    opened.wait()'
    )
    ws = WebSocket(f'ws://127.0.0.1:{child.line()}')
    log = Log(ws, 'open', 'message', 'close')
    log.until('open')
    ws.send('still there?')
    assert log.get()[1] == 'still there?'
    ws.close()
    assert log.get() == ('close', 1000, '')
    assert child.end() == (0, '', '')


def test_exit_closes_what_does_not_keep_the_process(script: Scripts) -> None:
    child = script(
        f'{SITE}\n    opened = threading.Event()\n    wss.on("connection", lambda ws: (ws.unref(), opened.set()))\n'
        '    print(httpd.server_port, flush=True)\n    opened.wait()'
    )
    assert connect(child.line()).get() == ('close', 1001, '')
    assert child.end() == (0, '', '')
