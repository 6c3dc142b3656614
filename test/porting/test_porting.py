"""Node programs of 2013 and their ports to Python, line by line, print and send the same.

Each program is played with a script, the JavaScript on ws 0.4.31 in Node, and what both sides see is compared with the
transcript beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import Child
from interop.peers import HERE as INTEROP
from interop.peers import WS_0
from porting.peer import Play
from websockets.frames import Opcode

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent

Start = Callable[..., None]


def chat(play: Play, start: Start, folder: Path) -> None:
    start('chat', 0)
    url = f'ws://127.0.0.1:{play.port()}'
    chats = {'subprotocols': ['chess', 'chat']}

    play.connect('stranger', f'{url}/tea', **chats).is_ended()
    play.connect('stranger', f'{url}/tea?token=guess', **chats).is_ended()
    play.connect('stranger', f'{url}/tea?token=let-me-in').is_ended()
    play.connect('stranger', f'{url}/tea?token=let-me-in', subprotocols=['chess']).is_ended()

    ann = play.connect('ann', f'{url}/tea?token=let-me-in', **chats)
    play.says()
    ann.gets()
    ann.sends('/nick ann')
    ann.gets()
    boss = play.connect('boss', f'{url}/tea?token=i-run-this-place', **chats)
    play.says()
    ann.gets()
    boss.gets()
    boss.sends('/nick ann', '/nick', '/nick boss')
    boss.gets(3)
    ann.gets()
    ben = play.connect('ben', f'{url}/?token=let-me-in', **chats)
    play.says()
    ben.gets()

    ben.sends('/nick ben', 'Is anybody here?', '/who', '/dance', '/stop')
    ben.gets(5)
    ben.sends('/join tea')
    ben.gets(2)
    ann.gets()
    boss.gets()
    ben.sends('/who', 'Hällo, 世界!', '/me waves')
    ben.gets(3)
    ann.gets(2)
    boss.gets(2)

    broken = play.connect('broken', f'{url}/tea?token=let-me-in', **chats)
    play.says()
    for client in broken, ann, boss, ben:
        client.gets()
    broken.sends_raw(bytes.fromhex('f1 80 00 00 00 00'))
    broken.is_closed()
    play.says(2)
    for client in ann, boss, ben:
        client.gets()

    ann.sends(b'\x00\x01')
    ann.is_closed()
    play.says()
    boss.gets()
    ben.gets()
    boss.sends('/kick ann', '/kick ben')
    ben.is_closed()
    play.says()
    boss.gets(2)

    cleo = play.connect('cleo', f'{url}/tea?token=let-me-in', **chats)
    play.says()
    cleo.gets()
    boss.gets()
    cleo.sends('/quit Time for tea.')
    cleo.is_closed()
    play.says()
    boss.gets()
    dora = play.connect('dora', f'{url}/tea?token=let-me-in', **chats)
    play.says()
    dora.gets()
    boss.gets()
    dora.closes(3000, 'elsewhere')
    play.says()
    boss.gets()
    emil = play.connect('emil', f'{url}/coffee?token=let-me-in', **chats)
    play.says()
    emil.gets()
    emil.vanishes()
    play.says()
    fay = play.connect('fay', f'{url}/coffee?token=let-me-in', **chats)
    play.says()
    fay.gets()
    boss.sends('/stop')
    boss.is_closed()
    fay.is_closed()
    play.says()


def heartbeat(play: Play, start: Start, folder: Path) -> None:
    start('heartbeat', 0, 300)
    url = f'ws://127.0.0.1:{play.port()}/clock'

    ann = play.connect('ann', url)
    ann.sends('hello ann')
    ann.gets()
    play.says()
    ann.sends('three')
    ann.gets(3)

    silent = play.connect('silent', url, answers_pings=False)
    silent.sends('hello silent')
    silent.gets()
    silent.is_ended()
    silent.notes_pings()
    play.says(2)

    mute = play.connect('mute', url)
    mute.is_closed()
    play.says()

    ben = play.connect('ben', f'{url}?zone=UTC')
    ben.sends('hello ben', 'start')
    ben.gets(5)
    play.says()
    ben.closes(1000, 'enough', while_data_comes=True)
    play.says()

    cleo = play.connect('cleo', url)
    cleo.sends('hello cleo', 'three')
    cleo.gets(4)
    play.says()
    cleo.sends('who are you?')
    cleo.is_closed()
    play.says()

    ann.sends('three')
    ann.gets(3)
    ann.sends('end')
    ann.is_closed()
    play.says()


def upload(play: Play, start: Start, folder: Path) -> None:
    start('upload', 0, folder)
    url = f'ws://127.0.0.1:{play.port()}'
    origin = {'origin': 'http://files.example.com'}
    big = bytes(number * number % 251 for number in range(300_000))

    def header(name: str, content: bytes, size: int = 0, checksum: str = '') -> str:
        sha1 = checksum or hashlib.sha1(content).hexdigest()
        return json.dumps({'put': name, 'size': size or len(content), 'sha1': sha1})

    play.connect('stranger', url, origin='http://evil.example.com').is_ended()

    ann = play.connect('ann', url, **origin)
    ann.sends(header('poem.txt', 'Rosen\nsind ро́за\n🌹'.encode()))
    play.says()
    ann.gets()
    ann.sends(b'Rosen\nsind ')
    play.says()
    ann.gets()
    ann.sends_fragments('ро'.encode(), '́за\n'.encode(), b'')
    play.says()
    ann.gets_control(Opcode.PONG, Opcode.PONG)
    ann.gets()
    ann.sends('🌹'.encode())
    play.says()
    ann.gets(2)
    ann.sends('{"lines": "poem.txt"}')
    play.says()
    ann.gets_frames()
    ann.gets()

    ann.sends(header('big.bin', big), *(big[start : start + 65_536] for start in range(0, len(big), 65_536)))
    play.says(6)
    ann.gets(7)
    ann.sends('{"get": "big.bin"}')
    play.says(2)
    ann.gets(2)
    ann.sends('{"get": "poem.txt"}')
    play.says(2)
    ann.gets(2)
    ann.sends('{"get": "none.txt"}', '{"get": "../secret"}')
    play.says(2)
    ann.gets(2)
    ann.closes(1000, 'thank you')
    play.says()

    def refused(*messages: str | bytes, answers: int = 0) -> None:
        ben = play.connect('ben', url, **origin)
        ben.sends(*messages)
        ben.gets(answers)
        ben.is_closed()
        play.says(len(messages) + 1)

    refused(header('../../etc/passwd', b'root'))
    refused(header('huge', b'', size=1 << 30))
    refused(header('poem.txt', b'other', checksum='0' * 40), b'oth', b'er', answers=3)
    refused('put it there')
    refused(b'here you are')

    cleo = play.connect('cleo', url, **origin)
    cleo.sends(header('half.txt', b'first second'), b'first ')
    cleo.gets(2)
    play.says(2)
    cleo.closes(1001, 'no time')
    play.says(2)
    assert sorted(file.name for file in folder.iterdir()) == ['big.bin', 'poem.txt']
    assert (folder / 'big.bin').read_bytes() == big

    dora = play.connect('dora', url, **origin)
    dora.sends('{"stop": true}')
    dora.is_closed()
    play.says(2)


def echo_benchmark(play: Play, start: Start, folder: Path) -> None:
    server = play.listen()
    start('echo_benchmark', f'ws://{server.address}/echo', 50)
    for _ in range(13):
        client = server.accept('server')
        client.accepts()
        count = size = 0
        for message in client.messages():
            client.send(message)
            count += 1
            size += len(message.encode() if isinstance(message, str) else message)
            if count == 50:
                break
        play.note('server', f'<- {count} messages of {size} bytes in all, sent back')
        client.is_closed()
        play.says(3)
    play.says()


def subprotocol_client(play: Play, start: Start, folder: Path) -> None:
    server = play.listen()
    start('subprotocol_client', server.address)
    headers = 'Authorization', 'Sec-WebSocket-Protocol', 'Origin', 'X-Visit', 'Cookie'

    first = server.accept('first', *headers, 'Host', 'Upgrade', 'Connection', 'Sec-WebSocket-Version')
    first.refuses(401)
    play.says()

    second = server.accept('second', *headers, 'Host')
    second.accepts('quotes.v2')
    play.says()
    second.gets()
    play.says()
    second.sends('{"symbol": "ACME", "price": 12.5}', '{"symbol": "EMCA", "price": 100.25}')
    play.says(2)
    second.gets()
    second.pings('Grüße'.encode())
    play.says()
    second.gets_control(Opcode.PONG)
    second.closes(4002, 'come back')
    play.says()

    third = server.accept('third', *headers)
    third.accepts('quotes.v3')
    third.is_ended()
    play.says()

    fourth = server.accept('fourth', 'Authorization', 'Sec-WebSocket-Protocol')
    fourth.accepts()
    play.says()
    fourth.gets()
    play.says()
    fourth.sends('ACME 0.25')
    play.says()
    fourth.gets_control(Opcode.PING)
    fourth.is_closed()
    play.says(4)


SCRIPTS = [chat, heartbeat, upload, echo_benchmark, subprotocol_client]


@pytest.fixture
def start_javascript(tmp_path: Path) -> Callable[..., Child]:
    """Starts a program in Node, with a copy of it in a folder where ``require('ws')`` finds 0.4.31."""
    missing = WS_0.missing()
    if missing is not None:
        give_up = pytest.fail if os.environ.get('CI') == 'true' else pytest.skip
        give_up(f'no programs in JavaScript: {missing} was not found')
    modules = tmp_path / 'node_modules'
    modules.mkdir()
    (modules / 'ws').symlink_to(INTEROP / 'node' / 'node_modules' / WS_0.package)

    def start(name: str, *arguments: object) -> Child:
        script = Path(shutil.copy(HERE / f'{name}.js', tmp_path))
        return Child(script, *arguments)

    return start


@pytest.fixture
def start_python() -> Callable[..., Child]:
    return lambda name, *arguments: Child(HERE / f'{name}.py', *arguments)


@pytest.mark.parametrize('language', ['javascript', 'python'])
@pytest.mark.parametrize('script', SCRIPTS, ids=lambda script: script.__name__)
def test_transcript(script: Callable[..., None], language: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    start = request.getfixturevalue(f'start_{language}')
    folder = tmp_path / 'folder'
    folder.mkdir()
    with Play() as play:
        script(play, lambda name, *arguments: play.starts(start(name, *arguments)), folder)
        play.ends()
    expected = (HERE / f'{script.__name__}.txt').read_text(encoding='utf-8').splitlines()
    assert play.transcript == expected
