"""RedisBus: publish and subscribe of Redis as a bus. Needs the package redis, which the extra `redis` installs."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Optional

from redis import ConnectionPool, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import MovedError
from redis.retry import Retry

from .bus import BusListener

#: Bytes that may wait to be published; what comes then is lost.
MOST = 16 * 1024 * 1024
#: What each message counts at least.
_OVERHEAD = 200
#: Seconds before the second attempt to connect, and before later ones at most; each time a random part of it.
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 5.0
#: Seconds that a closed bus has to send what is waiting.
_GRACE = 1.0

_log = logging.getLogger('ws.rooms')


class Commands(NamedTuple):
    """The names of commands and replies."""

    publish: str
    subscribe: str
    unsubscribe: str
    message: bytes


PLAIN = Commands('PUBLISH', 'SUBSCRIBE', 'UNSUBSCRIBE', b'message')
#: Where the server is a cluster: each channel belongs to one node (Redis 7).
SHARDED = Commands('SPUBLISH', 'SSUBSCRIBE', 'SUNSUBSCRIBE', b'smessage')


class RedisBus:
    """A :class:`Bus` made of Redis channels.

    ``RedisBus(url)``: where Redis is, in redis-py's form: ``redis://user:password@host:6379``, ``rediss://…`` for TLS,
    ``unix://…``. If that is a node of a cluster, channels are spread over all its nodes (sharded, Redis 7). `prefix`
    (str, 'ws:'): what the names of channels begin with. `timeout` (milliseconds, 10000): if Redis doesn't answer for
    this long, the connection has failed.

    There is one connection for each direction, to each node, and a thread for each. While they are down, what is
    published is lost; so is what comes when 16 MiB are waiting for a slow Redis. Raises what redis-py raises for an
    address that it doesn't understand.
    """

    def __init__(self, url: str, *, prefix: str = 'ws:', timeout: float = 10_000) -> None:
        self._prefix = prefix
        self._timeout = timeout / 1000
        self._url = url
        self._settings: dict[str, Any] = {
            'protocol': 2,
            'socket_timeout': self._timeout,
            'socket_connect_timeout': self._timeout,
        }
        ConnectionPool.from_url(url)
        self._lock = threading.RLock()  # for the following
        self._listener: Optional[BusListener] = None  # set once, before there are threads
        self._wanted: dict[str, None] = {}
        self._session: Optional[_Session] = None  # while there is a connection
        self._closing = threading.Event()
        self._nodes: list[tuple[str, int]] = []  # of the cluster, if it is one; for the thread that connects

    # -- what a Bus does ---------------------------------------------------------------------------------------------

    def open(self, listener: BusListener) -> None:
        with self._lock:
            if self._listener is not None:
                raise RuntimeError('a bus can belong to only one Rooms')
            self._listener = listener
        threading.Thread(target=self._run, name='ws-redis', daemon=True).start()

    def publish(self, channel: str, message: bytes) -> bool:
        with self._lock:
            return self._session is not None and self._session.publish(self._prefix + channel, message)

    def subscribe(self, channel: str) -> None:
        name = self._prefix + channel
        with self._lock:
            self._wanted[name] = None
            if self._session is not None:
                self._session.subscribe(name)

    def unsubscribe(self, channel: str) -> None:
        name = self._prefix + channel
        with self._lock:
            self._wanted.pop(name, None)
            if self._session is not None:
                self._session.unsubscribe(name)

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            if self._session is not None:
                self._session.close()

    # -- the thread that connects ------------------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._listener is not None
        attempts = 0
        is_told = False
        while not self._closing.is_set():
            started = time.monotonic()
            error = self._serve()
            if error is None:  # it was open
                is_told = True  # that it has ended, it has told
                if time.monotonic() - started > _LONGEST_DELAY:
                    attempts = 0
            elif not (is_told or self._closing.is_set()):
                _log.warning('no connection to Redis: %s', error)
                self._listener.down(error)
                is_told = True
            delay = min(_FIRST_DELAY * 2**attempts, _LONGEST_DELAY)
            attempts = min(attempts + 1, 10)
            self._closing.wait(delay * random.random())

    def _serve(self) -> Optional[Exception]:
        """Connect, and work until the connection ends; returns the error if it can't be made."""
        assert self._listener is not None
        try:
            session = self._connect()
        except Exception as error:
            return error
        _log.info('connected to Redis')
        with self._lock:
            self._session = session
            for name in self._wanted:
                session.subscribe(name)
            if self._closing.is_set():
                session.close()
        if not self._closing.is_set():
            self._listener.up()
        session.run()
        with self._lock:
            self._session = None
        session.disconnect()
        if not self._closing.is_set():
            _log.warning('lost the connection to Redis: %s', session.error)
            self._listener.down(session.error)
        return None

    def _connect(self) -> _Session:
        if not self._nodes:
            pool = ConnectionPool.from_url(self._url, **self._settings, retry=Retry(NoBackoff(), 0))
            if not self._is_cluster(pool):
                return _Session([_Link(pool, PLAIN, self._timeout, self._on_reply, self._on_moved)])
        return self._connect_to_cluster()

    @staticmethod
    def _is_cluster(pool: Any) -> bool:
        connection = pool.make_connection()
        try:
            connection.connect()
            connection.send_command('INFO', 'cluster')
            return b'cluster_enabled:1' in bytes(connection.read_response(disable_decoding=True))
        finally:
            connection.disconnect()

    def _connect_to_cluster(self) -> _Session:
        new_node: Any = ClusterNode
        known = [new_node(host, port) for host, port in self._nodes]  # that of the address may be gone
        # A channel that belongs to no node could not be subscribed to: there has to be one for each.
        cluster: Any = RedisCluster.from_url(
            self._url, **self._settings, startup_nodes=known, require_full_coverage=True
        )
        cluster.disconnect_connection_pools()  # for the questions so far; each link has connections of its own
        self._nodes = [(node.host, node.port) for node in cluster.get_nodes()]
        links: dict[str, _Link] = {}
        try:
            for node in cluster.get_primaries():
                pool = cluster.get_redis_connection(node).connection_pool
                links[node.name] = _Link(pool, SHARDED, self._timeout, self._on_reply, self._on_moved)
        except BaseException:
            for link in links.values():
                link.disconnect()
            raise
        return _Session(list(links.values()), _Slots(cluster, links))

    # -- the threads of links ----------------------------------------------------------------------------------------

    def _on_reply(self, commands: Commands, reply: Any) -> None:
        if self._closing.is_set() or not isinstance(reply, list):  # a pong before there is a subscription
            return
        assert self._listener is not None
        kind = bytes(reply[0])
        if kind == commands.message:
            self._listener.received(self._channel(reply[1]), bytes(reply[2]))
        elif kind == commands.subscribe.lower().encode():
            self._listener.subscribed(self._channel(reply[1]))
        elif commands is SHARDED and kind == commands.unsubscribe.lower().encode():
            self._on_unsubscribed(bytes(reply[1]).decode())

    def _on_unsubscribed(self, name: str) -> None:
        with self._lock:
            if name in self._wanted and self._session is not None:
                # The cluster has moved it; who asks for it where it was is told where it is. Or somebody has just left,
                # and somebody come.
                self._session.subscribe(name)

    def _on_moved(self, moved: MovedError) -> None:
        with self._lock:
            if self._session is not None:
                self._session.move(moved.slot_id, f'{moved.host}:{moved.port}', self._wanted)

    def _channel(self, name: bytes) -> str:
        return bytes(name).decode()[len(self._prefix) :]


class _Slots:
    """Which of the links to a cluster's nodes each channel belongs to. Under the lock of the bus."""

    def __init__(self, cluster: Any, links: dict[str, _Link]) -> None:
        self._cluster = cluster
        self._links = links
        self._been: dict[int, list[str]] = {}  # of each slot that has moved: its nodes, in order

    def slot_of(self, name: str) -> int:
        slot: int = self._cluster.keyslot(name)
        return slot

    def link_of(self, name: str) -> _Link:
        been = self._been.get(self.slot_of(name))
        return self._links[been[-1] if been else self._cluster.get_node_from_key(name).name]

    def move(self, slot: int, node: str) -> bool:
        """Returns whether that is news. Raises ConnectionError if the cluster has to be asked for all its nodes
        again."""
        been = self._been.setdefault(slot, [self._cluster.nodes_manager.get_node_from_slot(slot).name])
        if node == been[-1]:
            return False
        if node in been or node not in self._links:
            raise ConnectionError(f'the cluster has moved a channel to {node}')
        been.append(node)
        return True


class _Session:
    """Connections to all nodes, from the moment they are made until one of them fails."""

    def __init__(self, links: list[_Link], slots: Optional[_Slots] = None) -> None:
        self._links = links
        self._slots = slots  # of a cluster
        self._lock = threading.Lock()  # for the following
        self._unfinished = len(self._links)
        self._over = threading.Event()
        self._must_end = threading.Event()
        #: What has ended it; None until something has.
        self.error: Optional[Exception] = None

    # -- under the lock of the bus -----------------------------------------------------------------------------------

    def _link_of(self, name: str) -> _Link:
        return self._links[0] if self._slots is None else self._slots.link_of(name)

    def publish(self, name: str, message: bytes) -> bool:
        return not self._over.is_set() and self._link_of(name).publish(name, message)

    def subscribe(self, name: str) -> None:
        self._link_of(name).change(name, True)

    def unsubscribe(self, name: str) -> None:
        self._link_of(name).change(name, False)

    def move(self, slot: int, node: str, wanted: Iterable[str]) -> None:
        """Subscribe at `node` to what is wanted of that slot. Raises ConnectionError if that is impossible."""
        if self._slots is not None and self._slots.move(slot, node):
            for name in wanted:
                if self._slots.slot_of(name) == slot:
                    self.subscribe(name)

    def close(self) -> None:
        """End, when what was published has been sent."""
        for link in self._links:
            link.close()
        self._must_end.set()

    # -- the thread that connects, and those of links ----------------------------------------------------------------

    def run(self) -> None:
        """Work, until the end."""
        for link in self._links:
            link.start(self._on_end)
        self._must_end.wait()
        self._over.wait(_GRACE)

    def _on_end(self, error: Optional[Exception]) -> None:
        """A link has failed, or has sent everything."""
        with self._lock:
            self._unfinished -= error is None
            if not self._over.is_set() and (error is not None or not self._unfinished):
                self.error = error
                self._over.set()
                self._must_end.set()

    def disconnect(self) -> None:
        for link in self._links:
            link.disconnect()
        for link in self._links:
            link.join()


class _Link:
    """Two connections to one server, and the thread of each."""

    def __init__(
        self,
        pool: Any,
        commands: Commands,
        timeout: float,
        on_reply: Callable[[Commands, Any], None],
        on_moved: Callable[[MovedError], None],
    ) -> None:
        self._commands = commands
        self._ping_every = timeout / 3
        self._on_reply = on_reply
        self._on_moved = on_moved
        # For the next five. A signal handler may raise in the middle of entering a Condition, not of a lock.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._messages: deque[tuple[str, bytes]] = deque()
        self._size = 0  # bytes of them, and of those that are being written
        self._changes: list[tuple[str, bool]] = []
        self._closing = False
        self._over = False
        self._is_lossy = False  # that messages are lost has been logged
        self._threads: list[threading.Thread] = []
        self._incoming = pool.make_connection()
        self._outgoing = pool.make_connection()
        try:
            self._incoming.connect()
            self._outgoing.connect()
        except BaseException:
            self.disconnect()
            raise

    def start(self, on_end: Callable[[Optional[Exception]], None]) -> None:
        """``on_end(error)`` is called when it has failed, or (None) when it was closed and all is sent."""
        for work, way in ((self._write, 'out'), (self._read, 'in')):
            thread = threading.Thread(target=self._work, args=(work, on_end), name=f'ws-redis-{way}', daemon=True)
            self._threads.append(thread)
            thread.start()

    @staticmethod
    def _work(work: Callable[[], None], on_end: Callable[[Optional[Exception]], None]) -> None:
        error: Optional[Exception] = None
        try:
            work()
        except Exception as caught:  # what a connection raises when it is closed meanwhile may be anything
            error = caught
        on_end(error)

    def disconnect(self) -> None:
        with self._lock:
            self._over = True  # or whoever writes next would connect again, as redis-py does, and go on
            self._changed.notify()
        for connection in (self._incoming, self._outgoing):
            with contextlib.suppress(Exception):
                connection.disconnect()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        self.disconnect()  # one of them may just have been about to write

    # -- from any thread ---------------------------------------------------------------------------------------------

    def publish(self, name: str, message: bytes) -> bool:
        size = len(message) + _OVERHEAD
        with self._lock:
            if self._size + size > MOST:
                if not self._is_lossy:
                    self._is_lossy = True
                    _log.warning('Redis is too slow: messages are lost')
                return False
            self._messages.append((name, message))
            self._size += size
            self._changed.notify()
            return True

    def change(self, name: str, wanted: bool) -> None:
        with self._lock:
            self._changes.append((name, wanted))
            self._changed.notify()

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._changed.notify()

    # -- the thread that writes --------------------------------------------------------------------------------------

    def _write(self) -> None:
        next_ping = 0.0
        while not self._over:
            with self._lock:
                if not (self._messages or self._changes or self._closing or self._over):
                    self._changed.wait(max(0.0, next_ping - time.monotonic()))
                messages, self._messages = self._messages, deque()
                changes, self._changes = self._changes, []
                is_last = self._closing
            if time.monotonic() >= next_ping:
                next_ping = time.monotonic() + self._ping_every
                self._incoming.send_command('PING')
                self._ask([('PING',)])
            self._subscribe(changes)
            self._ask([(self._commands.publish, name, message) for name, message in messages])
            with self._lock:
                self._size -= sum(len(message) + _OVERHEAD for _, message in messages)
                self._is_lossy = self._is_lossy and self._size > MOST // 2
            if is_last:
                return

    def _subscribe(self, changes: list[tuple[str, bool]]) -> None:
        if changes:
            commands = [
                (self._commands.subscribe if wanted else self._commands.unsubscribe, name) for name, wanted in changes
            ]
            self._incoming.send_packed_command(self._incoming.pack_commands(commands))

    def _ask(self, commands: list[tuple[Any, ...]]) -> None:
        if commands:
            self._outgoing.send_packed_command(self._outgoing.pack_commands(commands))
            for _ in commands:
                self._reply_from(self._outgoing)

    # -- the thread that reads ---------------------------------------------------------------------------------------

    def _read(self) -> None:
        while not self._over:
            self._on_reply(self._commands, self._reply_from(self._incoming))

    # -- both --------------------------------------------------------------------------------------------------------

    def _reply_from(self, connection: Any) -> Any:
        """None if a channel is no longer here. What was published there is lost: sent again, it could come after what
        was published later."""
        try:
            return connection.read_response(disable_decoding=True)
        except MovedError as moved:
            self._on_moved(moved)
            return None
