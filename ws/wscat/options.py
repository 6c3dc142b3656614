"""The command line of wscat."""

from __future__ import annotations

import argparse
import getpass
import math
import os
import threading
import warnings
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from ..client.proxy_agent import ProxyAgent
from ..typing import ClientOptions

HELP = """\
Usage: wscat [options] (-c URL | -l PORT)

Sends each line you type as a message, and shows each message that comes in.

  -c, --connect URL           connect to a server; "localhost:8080" stands for "ws://localhost:8080"
  -l, --listen PORT           be a server, for one client at a time

Messages
  -x, --execute MESSAGE       send this and nothing else; repeat it to send several
  -w, --wait SECONDS          when to close: this long after -x, or once no answer to piped input has come for so long
                              (default: 2; -1: never)
      --binary                send binary messages; piped input goes as it comes, not line by line
      --json                  send JSON, each value of one or more lines a message; lay out what comes in
      --raw                   everything as it comes: line ends are sent, too, and nothing is added to the output
      --slash                 lines can be commands: /ping [DATA], /pong [DATA], /close [CODE [REASON]]
      --history [FILE]        keep the lines you type for the next time, but for those that begin with a space
                              (default: $XDG_STATE_HOME/wscat/history, or ~/.local/state/wscat/history)

Handshake
  -s, --subprotocol NAME      a subprotocol to offer; repeat it to offer several
  -o, --origin ORIGIN         the Origin header
      --host HOST             the Host header
  -H, --header NAME:VALUE     another header; repeat it to set several
      --auth USER:PASSWORD    the Authorization header of basic authentication
  -p, --protocol VERSION      protocol version, 13 (default) or 8
      --proxy [SCHEME://][USER:PASSWORD@]HOST[:PORT]
                              connect through a proxy: http (default), https, socks5h, socks5, socks4a or socks4
  -L, --location              follow redirects; -v shows them. Authorization and Cookie don't go to another host
      --max-redirects [N]     how many of them (default: 10)

TLS
      --ca FILE               certificates of the authorities to trust, instead of the system's
      --cert FILE             certificate of this client
      --key FILE              its private key
      --passphrase [TEXT]     the key's passphrase; without TEXT you are asked for it
  -n, --no-check              take any certificate of the server

Output
  -P, --show-ping-pong        show pings and pongs
  -v, --verbose               show handshakes, close codes and the kinds and sizes of messages, on standard error
      --no-color              no colours; there are none either if NO_COLOR is set, or without a terminal

  -V, --version               show the version
  -h, --help                  show this help

On a terminal, control characters in messages are shown as escape sequences, binary messages in hexadecimal digits.
Into a pipe, text messages are written as lines in UTF-8, binary messages as they are.

Ctrl-C, and Ctrl-D on an empty line, close the connection and end wscat; a second Ctrl-C doesn't wait for the peer.
Keys are those of readline: Up and Down for lines that were typed before, Ctrl-R to search them; with --slash, Tab
completes commands.

Exit status
  0   the connection was closed from here, or by the peer with code 1000, 1001 or none
  1   it could not be made, broke, or was closed by the peer with another code; or not all input could be sent
  2   wrong usage

Examples
  wscat -c localhost:8080
  wscat -c wss://example.org/chat -s chat -H 'Cookie: id=42'
  wscat -c localhost:8080 -x '{"get": "time"}' --json -w 0.5
  wscat -c localhost:8080 <questions.txt >answers.txt
  wscat -l 8080 -v
"""

#: How long, in milliseconds, the peer may take to answer a close frame.
CLOSE_TIMEOUT = 2000


class UsageError(Exception):
    """The command line asks for what can't be done."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(message)


def parse(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    """The options of a command line, checked as far as that needs nothing else. Raises UsageError."""
    options = make_parser().parse_args(arguments)
    if options.listen is not None and options.connect is not None:
        raise UsageError('use either --listen or --connect')
    if options.listen is not None:
        for name in _CONNECT_ONLY:
            if getattr(options, name) not in (None, False, []):
                raise UsageError(f'--{name.replace("_", "-")} works with --connect only')
    try:
        '\0'.join(options.execute).encode()
    except UnicodeEncodeError:
        raise UsageError('--execute: the message is not text in the encoding of this terminal') from None
    return options


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog='wscat', add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add('-c', '--connect')
    add('-l', '--listen', type=int)
    add('-x', '--execute', action='append', default=[])
    add('-w', '--wait', type=_seconds, default=2.0)
    add('--binary', action='store_true')
    add('--json', action='store_true')
    add('--raw', action='store_true')
    add('--slash', action='store_true')
    add('--history', nargs='?', const=True)
    add('-s', '--subprotocol', action='append', default=[])
    add('-o', '--origin')
    add('--host')
    add('-H', '--header', action='append', default=[])
    add('--auth')
    add('-p', '--protocol', type=int, choices=(8, 13))
    add('--proxy')
    add('-L', '--location', action='store_true')
    add('--max-redirects', type=int, nargs='?', const=10)
    add('--ca')
    add('--cert')
    add('--key')
    add('--passphrase', nargs='?', const=True)
    add('-n', '--no-check', action='store_true')
    add('-P', '--show-ping-pong', action='store_true')
    add('-v', '--verbose', action='store_true')
    add('--no-color', action='store_true')
    add('-V', '--version', action='store_true')
    add('-h', '--help', action='store_true')
    return parser


_CONNECT_ONLY = (
    'subprotocol', 'origin', 'host', 'header', 'auth', 'protocol', 'proxy', 'location', 'max_redirects',
    'ca', 'cert', 'key', 'passphrase', 'no_check',
)  # fmt: skip


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not -threading.TIMEOUT_MAX < seconds < threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f'{text!r} is no number of seconds')
    return seconds


def url_of(text: str) -> str:
    """A URL as people write it: without a scheme it is a ``ws:`` one."""
    return text if '://' in text or text.startswith('ws+unix:') else f'ws://{text}'


def client_options(options: argparse.Namespace) -> ClientOptions:
    """What the command line says, as options of WebSocket. Raises UsageError. May ask for the passphrase."""
    return {
        'protocolVersion': options.protocol,
        'origin': options.origin,
        'host': options.host,
        'headers': _headers(options),
        'closeTimeout': CLOSE_TIMEOUT,
        'followRedirects': options.location,
        'maxRedirects': options.max_redirects,
        'ca': _contents('ca', options.ca),
        'cert': _contents('cert', options.cert),
        'key': _contents('key', options.key),
        'passphrase': _ask_for_passphrase() if options.passphrase is True else options.passphrase,
        'rejectUnauthorized': not options.no_check,
        'agent': _agent(options) if options.proxy is not None else None,
    }


def _headers(options: argparse.Namespace) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    names: dict[str, str] = {}  # in lower case -> as first given
    for header in options.header:
        name, colon, value = header.partition(':')
        if not colon:
            raise UsageError(f'--header: {header!r} is not like NAME:VALUE')
        name = names.setdefault(name.strip().lower(), name.strip())
        headers.setdefault(name, []).append(value.strip())
    if options.auth is not None:
        headers.pop(names.get('authorization', ''), None)
        headers['Authorization'] = ['Basic ' + b64encode(os.fsencode(options.auth)).decode('ascii')]  # RFC 7617
    return headers


def _agent(options: argparse.Namespace) -> ProxyAgent:
    if url_of(options.connect).startswith('ws+unix:'):
        raise UsageError('--proxy: there is none to a UNIX socket')
    try:
        return ProxyAgent(options.proxy)
    except (ValueError, ModuleNotFoundError) as error:
        raise UsageError(f'--proxy: {error}') from None


def _contents(option: str, file: Optional[str]) -> Optional[bytes]:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f'--{option}: {file}: {error.strerror}') from None


def _ask_for_passphrase() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter('error', getpass.GetPassWarning)
        try:
            return getpass.getpass('Passphrase: ')
        except (EOFError, getpass.GetPassWarning):
            raise UsageError('--passphrase: there is no terminal to ask for it') from None
