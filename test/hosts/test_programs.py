"""Programs as people write them: what they start in listeners, how they fail, when they import us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import ROOT, free_port
from hosts.process import Hosts, find_python, joined
from scripts import needs_late_threads
from support import Waiter, server, url_of

# -- what is started in listeners --------------------------------------------------------------------------------------

STARTED = {
    'Thread': 'threading.Thread(target=work)',
    'Timer': 'threading.Timer(0.3, work)',
}


@needs_late_threads
@pytest.mark.parametrize('what', STARTED)
def test_what_a_listener_starts_is_waited_for(hosts: Hosts, what: str) -> None:
    """The connection is gone by then, and nothing else keeps the process."""
    with server() as wss:
        wss.on('connection', lambda ws: ws.close())
        host = hosts.script(
            f"""
            import sys
            import threading
            import time
            from ws import WebSocket

            def work():
                time.sleep(0.3)
                print('daemon' if threading.current_thread().daemon else 'no daemon', 'done')

            ws = WebSocket(sys.argv[1])
            ws.on('close', lambda: {STARTED[what]}.start())
            """,
            url_of(wss),
        )
        assert host.ends() == 0
        assert host.output == 'no daemon done\n'


@needs_late_threads
def test_what_it_starts_may_connect_anew(hosts: Hosts) -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.close())
        host = hosts.script(
            """
            import sys
            import threading
            import time
            from ws import WebSocket
            from ws.timers import setTimeout

            def connect(left):
                ws = WebSocket(sys.argv[1])
                ws.on('close', lambda: closed(left))

            def closed(left):
                print(left)
                if left:
                    setTimeout(lambda: threading.Thread(target=later, args=[left - 1]).start(), 10)

            def later(left):
                time.sleep(0.05)
                connect(left)

            connect(3)
            """,
            url_of(wss),
        )
        assert host.ends() == 0
        assert host.output == '3\n2\n1\n0\n'


# The reconnecting client that everybody writes.
RECONNECTING = """
    import sys
    import threading
    from ws import WebSocket

    def connect():
        ws = WebSocket(sys.argv[1])
        ws.on('message', lambda message: message == 'enough' and stop.set())
        ws.on('error', lambda error: None)
        ws.on('close', again)

    def again():
        if not stop.is_set():
            threading.Timer(0.02, connect).start()

    stop = threading.Event()
    connect()
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize('version', ['3.9', '3.11', '3.13'])
def test_a_client_that_reconnects_survives_ten_restarts(hosts: Hosts, version: str, pyee: Path) -> None:
    python = find_python(version)
    if subprocess.run([python, '-c', 'import pyee'], env={**os.environ, 'PYTHONPATH': str(pyee)}).returncode:
        pytest.skip(f'the pyee of this Python, which is {sys.version.split()[0]}, does not work on {version}')
    with free_port() as port:
        url = f'ws://127.0.0.1:{port}/'
        script = hosts.file('client.py', RECONNECTING)
        # Not with -W error: pyee is not this Python's own.
        host = hosts.start(python, script, url, PYTHONPATH=f'{ROOT}:{pyee}')
        for _ in range(10):
            with server(port=port) as wss:
                connected = Waiter()
                wss.on('connection', connected)
                connected.get()
        with server(port=port) as wss:
            wss.on('connection', lambda ws: (ws.send('enough'), ws.close()))
            assert host.ends() == 0
    assert host.output == ''


@pytest.fixture
def pyee(tmp_path: Path) -> Iterator[Path]:
    """A folder with nothing but what we need at run time."""
    import pyee
    import typing_extensions

    folder = tmp_path / 'packages'
    folder.mkdir()
    (folder / 'pyee').symlink_to(Path(pyee.__file__).parent)
    (folder / 'typing_extensions.py').symlink_to(Path(typing_extensions.__file__))
    yield folder


# -- the status --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('listener', 'status'), [('', 1), ('wss.on("error", lambda error: print("heard"))', 0)])
def test_a_port_that_is_taken(hosts: Hosts, listener: str, status: int) -> None:
    with server() as wss:
        port = wss.address().port
        host = hosts.script(
            f"""
            from ws import WebSocketServer

            wss = WebSocketServer(port={port}, host='127.0.0.1')
            {listener}
            """
        )
        assert host.ends() == status
    assert ('Address already in use' in host.output) == bool(status)
    assert ('heard' in host.output) == (not status)


@pytest.mark.parametrize(('listener', 'status'), [('', 1), ('ws.on("error", lambda error: print("heard"))', 0)])
def test_a_server_that_is_not_there(hosts: Hosts, listener: str, status: int) -> None:
    with free_port() as port:
        host = hosts.script(
            f"""
            from ws import WebSocket

            ws = WebSocket('ws://127.0.0.1:{port}')
            {listener}
            """
        )
        assert host.ends() == status
    assert ('Connection refused' in host.output) == bool(status)
    assert ('heard' in host.output) == (not status)


def test_a_status_of_its_own_stays(hosts: Hosts) -> None:
    with free_port() as port:
        host = hosts.script(
            f"""
            import sys
            import threading
            from ws import WebSocket

            failed = threading.Event()
            threading.excepthook = lambda report: failed.set()
            ws = WebSocket('ws://127.0.0.1:{port}')
            failed.wait()
            sys.exit(3)
            """
        )
        assert host.ends() == 3


# -- main() ------------------------------------------------------------------------------------------------------------

MAIN = """
    import sys
    import ws

    def main():
        wss = ws.WebSocketServer(port=0, host='127.0.0.1')
        wss.on('connection', lambda peer: peer.on('message', lambda: wss.close()))
        print('port', wss.address().port)
        {wait}
        return 7

    if __name__ == '__main__':
        sys.exit(main())
"""


def test_sys_exit_main_ends_at_once(hosts: Hosts) -> None:
    host = hosts.script(MAIN.format(wait=''))
    assert host.ends() == 7


@pytest.mark.parametrize('flags', [(), ('-m',)], ids=['script', '-m'])
def test_wait_in_main(hosts: Hosts, flags: tuple[str, ...]) -> None:
    script = hosts.file('program.py', MAIN.format(wait='ws.wait()'))
    host = hosts.python(*flags, 'program' if flags else script)
    port = int(host.prints(r'port (\d+)')[1])
    with joined(port) as (ws, log):
        ws.send('end')
        assert log.until('close')[-1] == ('close', 1001, '')
    assert host.ends() == 7


def test_ctrl_c_interrupts_wait(hosts: Hosts) -> None:
    code = MAIN.format(wait='ws.wait()').replace('sys.exit(main())', 'main()')
    host = hosts.script(code)
    port = int(host.prints(r'port (\d+)')[1])
    with joined(port) as (_ws, log):
        host.interrupt()
        assert log.until('close')[-1] == ('close', 1001, '')
    assert host.ends() == -signal.SIGINT
    assert host.output.rstrip().endswith('KeyboardInterrupt')


# -- a late import -----------------------------------------------------------------------------------------------------


@needs_late_threads
def test_an_import_in_a_thread_after_the_last_line(hosts: Hosts) -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        host = hosts.script(
            """
            import sys
            import threading
            import time

            def work():
                threading.main_thread().join()
                time.sleep(0.1)
                from ws import WebSocket
                ws = WebSocket(sys.argv[1])
                ws.on('message', lambda message: (print(message), ws.close()))

            threading.Thread(target=work).start()
            """,
            url_of(wss),
        )
        assert host.ends() == 0
        assert host.output == 'hello\n'
