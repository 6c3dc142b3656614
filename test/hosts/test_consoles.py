"""Consoles, prompts and windows: an old error does not end a live server, and who leaves a prompt leaves at once."""

from __future__ import annotations

import signal
import sys
import textwrap

import pytest
from hosts.process import BIN, Host, Hosts, joined, needs
from test_doc_threads import display

#: How long, in seconds, a process may take to end once its last connection is closed.
PROMPTLY = 5.0

SERVE = """
    from ws import WebSocketServer

    wss = WebSocketServer(port=0, host='127.0.0.1')
    wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
    print('port', wss.address().port)
"""

# What happened before, and has been dealt with.
BEFORE = {
    'sys.last_value': """
    import sys
    sys.last_type, sys.last_value, sys.last_traceback = ValueError, ValueError('long ago'), None
""",
    'sys.ps1': """
    import sys
    sys.ps1 = '> '
""",
    'an embedded console with an error': """
    import code
    import sys

    lines = iter(['1 / 0', 'exit()'])
    console = code.InteractiveConsole()
    console.raw_input = lambda prompt: next(lines)
    try:
        console.interact(banner='', exitmsg='')
    except SystemExit:
        pass
""",
    'code.interact()': """
    import code

    lines = iter(['1 / 0'])

    def read(prompt):
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    code.interact(banner='', readfunc=read, exitmsg='')
""",
    'a SystemExit that is caught': """
    import sys

    try:
        sys.exit(3)
    except SystemExit:
        pass
""",
}


def port_of(host: Host) -> int:
    return int(host.prints(r'port (\d+)')[1])


def serves_on(host: Host, port: int) -> None:
    """It answers after its last line, and ends at Ctrl-C."""
    host.prints('the last line')
    with joined(port) as (ws, log):
        for _ in range(10):
            ws.send('still there?')
            assert log.get()[1] == 'still there?'
        host.interrupt()
        assert log.get() == ('close', 1001, '')
    assert host.ends() == -signal.SIGINT


@pytest.mark.parametrize('order', ['before', 'after'])
@pytest.mark.parametrize('name', BEFORE)
def test_what_happened_before_does_not_end_a_server(hosts: Hosts, name: str, order: str) -> None:
    parts = [BEFORE[name], SERVE] if order == 'before' else [SERVE, BEFORE[name]]
    host = hosts.script(''.join(parts) + '    print("the last line")\n')
    serves_on(host, port_of(host))


TK = """
    import tkinter

    root = tkinter.Tk()
    root.after(1, lambda: 1 / 0)
    root.after(50, root.destroy)
    root.mainloop()
    print('the last line')
"""


def test_a_callback_of_tk_that_raises(hosts: Hosts) -> None:
    """Tk reports it, and keeps it in sys.last_value."""
    with display():
        host = hosts.script(SERVE + TK)
        serves_on(host, port_of(host))


@pytest.mark.hosts
@needs('IPython')
def test_ipython_embedded(hosts: Hosts) -> None:
    host = hosts.script(
        SERVE + '    import IPython\n    IPython.embed(colors="NoColor")\n    print("the last line")\n',
        IPYTHONDIR=str(hosts.folder),
    )
    port = port_of(host)
    host.types('1 / 0\n')
    host.prints('division by zero')
    host.types('exit\n')
    serves_on(host, port)


# -- prompts -----------------------------------------------------------------------------------------------------------

IPYTHON = ['--no-banner', '--no-confirm-exit', '--simple-prompt']
PROMPTS = {
    'python -i': [sys.executable, '-q', '-i'],
    'python -i script': [sys.executable, '-q', '-i', 'script.py'],
    'IPython': [str(BIN / 'ipython'), *IPYTHON],
    'IPython -i script': [str(BIN / 'ipython'), *IPYTHON, '-i', 'script.py'],
    'python -m IPython': [sys.executable, '-m', 'IPython', *IPYTHON],
}
# How a person leaves one.
LEAVING = {'exit()': lambda host: host.types('exit()\n'), 'end of input': Host.stops_typing}


@pytest.mark.parametrize('leaving', LEAVING)
@pytest.mark.parametrize(
    'name',
    [pytest.param(name, marks=[pytest.mark.hosts, needs('IPython')] if 'IPython' in name else []) for name in PROMPTS],
)
def test_leaving_a_prompt_ends_the_process(hosts: Hosts, name: str, leaving: str) -> None:
    code = textwrap.dedent(SERVE).strip() + '\n'
    hosts.file('script.py', code)
    host = hosts.start(*PROMPTS[name], IPYTHONDIR=str(hosts.folder / 'ipython'), TERM='dumb')
    if 'script' not in name:
        host.types(code)
    port = port_of(host)
    with joined(port) as (ws, log):
        ws.send('hello')
        assert log.get()[1] == 'hello'
        host.types('1 / 0\n')
        host.prints('division by zero')
        ws.send('still there?')
        assert log.get()[1] == 'still there?'
        LEAVING[leaving](host)
        assert log.get() == ('close', 1001, '')
    assert host.ends(PROMPTLY) == 0
