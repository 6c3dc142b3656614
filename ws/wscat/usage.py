"""What wscat takes and does, said once: its parser, ``-h``, its manual page and its completions are made of this.

`text` is what ``-h`` says of an option; `more` follows it in the manual page only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import values

#: What wscat can be, by what makes it so.
CONNECT, LISTEN, BENCH = 'connect', 'listen', 'bench'
_EVERYWHERE = (CONNECT, LISTEN, BENCH)
_TALKING = (CONNECT, LISTEN)
_CALLING = (CONNECT, BENCH)

#: Ways to complete a value, besides a list of what it may be.
FILE, HEADER = ('FILE',), ('HEADER',)

_FLAG: Mapping[str, Any] = {'action': 'store_true'}
_LIST: Mapping[str, Any] = {'action': 'append', 'default': []}

#: The shells that there are completions for.
SHELLS = ('bash', 'zsh', 'fish')


_drop_brackets = re.compile(r' \([^)]*\)?\Z').sub


class Option(NamedTuple):
    #: As in '-c, --connect'.
    names: str
    #: What is to follow, as it is shown; '' if nothing is.
    value: str
    text: str
    #: What argparse has to know.
    keywords: Mapping[str, Any]
    #: Where it works.
    modes: tuple[str, ...] = _EVERYWHERE
    more: str = ''
    #: FILE, HEADER, or what the value may be.
    completed: tuple[str, ...] = ()

    @property
    def flags(self) -> list[str]:
        return self.names.split(', ')

    @property
    def name(self) -> str:
        """The long one, as in '--connect'."""
        return self.flags[-1]

    @property
    def destination(self) -> str:
        return self.name[2:].replace('-', '_')

    @property
    def repeated(self) -> bool:
        """Whether it may be given more than once, each time for another value."""
        return self.keywords is _LIST

    @property
    def optional(self) -> bool:
        """Whether the value may be left out."""
        return self.keywords.get('nargs') == '?'

    @property
    def brief(self) -> str:
        """The first thing that `text` says, without what it says in brackets at the end."""
        return _drop_brackets('', self.text.partition(';')[0].partition('. ')[0])


class Group(NamedTuple):
    title: str
    options: tuple[Option, ...]


USAGES = ('[options] URL', '[options] -l PORT', '[options] --bench URL')

SUMMARY = 'talk to a WebSocket server, or be one'

ABOUT = (
    'Sends each line you type as a message, and shows each message that comes in. A URL without a scheme, as '
    'localhost:8080, is a ws: one.'
)

GROUPS = (
    Group('', (
        Option('-c, --connect', 'URL', 'connect to this server: the same as URL alone', {}, _CALLING),
        Option('-l, --listen', 'PORT', 'be a server, for one client at a time', {'type': int}, (LISTEN,)),
        Option(
            '--bench', '', 'put load on a server that sends back what it gets, and measure it', _FLAG, (BENCH,),
            'See LOAD TEST.',
        ),
    )),
    Group('Messages', (
        Option('-x, --execute', 'MESSAGE', 'send this and nothing else; repeat it to send several', _LIST, _TALKING),
        Option(
            '-w, --wait', 'SECONDS',
            'when to close: this long after -x, or once no answer to piped input has come for so long (default: 2; '
            '-1: never)',
            {'type': values.seconds, 'default': 2.0}, _TALKING,
        ),
        Option('--binary', '', 'send binary messages; piped input goes as it comes, not line by line', _FLAG),
        Option(
            '--json', '',
            'send JSON, each value of one or more lines a message; lay out what comes in. With --bench: results in '
            'JSON', _FLAG,
        ),
        Option(
            '--raw', '', 'everything as it comes: line ends are sent, too, and nothing is added to the output', _FLAG,
            _TALKING,
        ),
        Option(
            '--slash', '',
            'lines can be commands: /ping [DATA], /pong [DATA], /close [CODE [REASON]]; Tab completes them', _FLAG,
            _TALKING,
        ),
        Option(
            '--history', '[FILE]',
            'keep the lines you type for the next time, but for those that begin with a space (default: '
            '$XDG_STATE_HOME/wscat/history, or ~/.local/state/wscat/history)',
            {'nargs': '?', 'const': True}, _TALKING,
            'The file is readable by you only, and has some 1,000 lines at most. With -x, nothing is kept.',
            completed=FILE,
        ),
    )),
    Group('Connection', (
        Option(
            '--reconnect', '', 'connect again whenever the connection is lost or cannot be made', _FLAG, (CONNECT,),
            'The first attempt follows after half a second to a second, the next ones after up to 10 seconds. You are '
            'told when the connection is lost and when it is back. What you type meanwhile is sent then; piped input '
            'waits. A message that was under way is not sent again.',
        ),
        Option(
            '--ping-interval', 'SECONDS', 'send a ping whenever nothing has come for so long',
            {'type': values.some_seconds}, _TALKING,
            'If nothing comes within 20 seconds after that either, the connection is taken for lost.',
        ),
        Option('--host', 'HOST', 'the Host header; with -l: the address to listen on (default: 0.0.0.0)', {}),
        Option(
            '--proxy', '[SCHEME://][USER:PASSWORD@]HOST[:PORT]',
            'connect through a proxy: http (default), https, socks5h, socks5, socks4a or socks4', {}, _CALLING,
        ),
    )),
    Group('Handshake', (
        Option('-s, --subprotocol', 'NAME', 'a subprotocol to offer; repeat it to offer several', _LIST, _CALLING),
        Option('-o, --origin', 'ORIGIN', 'the Origin header', {}, _CALLING),
        Option(
            '-H, --header', 'NAME:VALUE', 'another header; repeat it to set several. @FILE: those in a file', _LIST,
            _CALLING,
            'The file, in UTF-8, has one header on each line; empty lines, and those that begin with #, are left out. '
            'What is in a file is not seen in the list of processes.',
            completed=HEADER,
        ),
        Option('--auth', 'USER:PASSWORD', 'the Authorization header of basic authentication', {}, _CALLING),
        Option(
            '-p, --protocol', 'VERSION', 'protocol version, 13 (default) or 8', {'type': int, 'choices': (8, 13)},
            _CALLING, completed=('8', '13'),
        ),
        Option(
            '-L, --location', '',
            "follow redirects; -v shows them. Authorization and Cookie don't go to another host", _FLAG, _CALLING,
        ),
        Option(
            '--max-redirects', '[N]', 'how many of them (default: 10)', {'type': int, 'nargs': '?', 'const': 10},
            _CALLING,
        ),
    )),
    Group('TLS', (
        Option(
            '--ca', 'FILE', "certificates of the authorities to trust, instead of the system's", {}, _CALLING,
            completed=FILE,
        ),
        Option('--cert', 'FILE', 'certificate of this client', {}, _CALLING, completed=FILE),
        Option('--key', 'FILE', 'its private key', {}, _CALLING, completed=FILE),
        Option(
            '--passphrase', '[TEXT]', "the key's passphrase; without TEXT you are asked for it",
            {'nargs': '?', 'const': True}, _CALLING,
        ),
        Option('-n, --no-check', '', 'take any certificate of the server', _FLAG, _CALLING),
    )),
    Group('Output', (
        Option(
            '--output', 'FILE', 'write each message that comes in to FILE, too, as it is', {}, _TALKING,
            'A line feed follows each text message, unless there is --raw; nothing follows a binary one. What the file '
            'held before is lost.',
            completed=FILE,
        ),
        Option(
            '-t, --timestamps', '', 'show the time of everything that is shown', _FLAG, _TALKING,
            'On a terminal that is the time of day; elsewhere it is date, time and time zone, as in ISO 8601. Binary '
            'messages in a pipe have none.',
        ),
        Option('-P, --show-ping-pong', '', 'show pings and pongs', _FLAG, _TALKING),
        Option(
            '-v, --verbose', '',
            'show handshakes, close codes and the kinds and sizes of messages, on standard error', _FLAG, _TALKING,
        ),
        Option('--no-color', '', 'no colours; there are none either if NO_COLOR is set, or without a terminal', _FLAG),
    )),
    Group('Load test', (
        Option('--connections', 'N', 'how many (default: 10)', {'type': values.count, 'default': 10}, (BENCH,)),
        Option(
            '--duration', 'SECONDS', 'how long to send (default: 10)',
            {'type': values.some_seconds, 'default': 10.0}, (BENCH,),
        ),
        Option('--messages', 'N', 'how many to send at most, on all connections', {'type': values.count}, (BENCH,)),
        Option('--size', 'BYTES', 'size of a message (default: 64)', {'type': values.size, 'default': 64}, (BENCH,)),
        Option(
            '--in-flight', 'N', 'messages that wait for their answer on each connection (default: 1)',
            {'type': values.count, 'default': 1}, (BENCH,),
        ),
        Option(
            '--rate', 'N', 'send so many messages per second in all, whether answers come or not',
            {'type': values.rate}, (BENCH,),
        ),
    )),
    Group('Other', (
        Option('--man', '', 'print the manual page: wscat --man | man -l -', _FLAG),
        Option(
            '--completion', 'SHELL', 'print completions for bash, zsh or fish', {'choices': SHELLS},
            more='For bash and zsh: source <(wscat --completion bash); for fish: wscat --completion fish | source.',
            completed=SHELLS,
        ),
        Option('-V, --version', '', 'show the version', _FLAG),
        Option('-h, --help', '', 'show this help', _FLAG),
    )),
)  # fmt: skip

#: Paragraphs.
NOTES = (
    'On a terminal, control characters in messages are shown as escape sequences, binary messages in hexadecimal '
    'digits. Into a pipe, text messages are written as lines in UTF-8, binary messages as they are.',
    "Ctrl-C, and Ctrl-D on an empty line, close the connection and end wscat; a second Ctrl-C doesn't wait for the "
    'peer. Other keys are those of readline: Up and Down for lines that were typed before, Ctrl-R and Ctrl-S to search '
    'them. With -x, standard error says with which code and reason the peer has closed the connection.',
)

#: Exit statuses, and what they say.
STATUSES = (
    ('0', 'the connection was closed from here, or by the peer with code 1000, 1001 or none; with --bench: all '
          'messages came back'),
    ('1', 'it could not be made, broke, or was closed by the peer with another code; or not everything was sent; with '
          '--bench: something went wrong'),
    ('2', 'wrong usage'),
    ('130', 'interrupted by Ctrl-C while connecting, and nothing was to be sent; 143: the same by SIGTERM'),
)  # fmt: skip

#: Commands, and what they do.
EXAMPLES = (
    ('wscat localhost:8080', 'Talk to a server.'),
    ("wscat wss://example.org/chat -s chat -H 'Cookie: id=42'", 'The same, with a subprotocol and a header.'),
    ("wscat localhost:8080 -x '{\"get\": \"time\"}' --json -w 0.5", 'Ask something, and show what comes within half a '
                                                                  'second.'),
    ('wscat localhost:8080 <questions.txt >answers.txt', 'Send each line of a file.'),
    ('wscat localhost:8080 --reconnect -t --output log.txt', 'Follow what a server says, also when it is restarted.'),
    ('wscat -l 8080 -v', 'Be a server, and show what clients send.'),
    ('wscat --bench localhost:8080 --connections 100', 'How fast is it?'),
)  # fmt: skip

#: Variables of the environment, and what they do.
ENVIRONMENT = (
    ('NO_COLOR', 'If it is set and not empty, there are no colours.'),
    ('TERM', 'If it is dumb or not set, the line that you type is not edited by wscat, and there are no colours.'),
)

#: Paragraphs.
LOAD_TEST = (
    'wscat --bench opens all connections, and then sends messages for --duration seconds, or --messages of them if '
    'that is less. The server has to send each message back, as an echo server does; if it does not, wscat says so. '
    'Each message carries a number of its own. At the end, answers have 5 more seconds to come; then the '
    'connections are closed with code 1000. Ctrl-C ends the test early, and shows what was measured until then.',
    'Without --rate, each connection sends a message when the answer to another one has come, so that --in-flight '
    'of them are always under way. This finds out how much the server can do. Its latency is flattering: while the '
    'server stalls, few messages are sent that could notice it (coordinated omission).',
    'With --rate, messages are due at fixed times, on one connection after the other. Latency counts from when a '
    'message was due, however late it was sent. This finds out how long users wait who do not wait for each other. '
    'The test ends if too many messages are under way.',
    'Latency is the time from sending a message, or from when it was due, to its answer, as wscat has seen it: this '
    'includes the network, and wscat itself, which is one thread of Python. It has a precision of 0.2 %. Opening is '
    'the time from the first step of connecting, up to 32 connections at a time, to the answer to the handshake. If '
    'wscat takes all of a processor, it is wscat that was measured: the server can do more than that.',
    'The exit status is 1 if a connection could not be opened, or was lost, or a message did not come back.',
)


def all_options() -> Iterator[Option]:
    for group in GROUPS:
        yield from group.options
