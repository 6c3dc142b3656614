"""What was said last in each room."""

from collections import deque

LENGTH = 50  # messages
KEPT_FOR = 24 * 60 * 60  # seconds, after the last one; in Redis
PATIENCE = 2  # seconds


class History:
    """In this process. Used by listeners of several connections, which run one at a time unless there is a pool."""

    def __init__(self):
        self._rooms = {}

    def add(self, room, message):
        self._rooms.setdefault(room, deque(maxlen=LENGTH)).append(message)

    def of(self, room):
        return list(self._rooms.get(room, ()))

    def forget(self, room):
        """Nobody is in there any more."""
        self._rooms.pop(room, None)


class RedisHistory:
    """In Redis, for all processes. Its methods wait for it, so listeners that call them need a pool."""

    def __init__(self, url):
        import redis

        self._redis = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
        )
        self._error = redis.RedisError

    def add(self, room, message):
        key = f'chat:history:{room}'
        try:
            with self._redis.pipeline() as pipeline:
                pipeline.rpush(key, message).ltrim(key, -LENGTH, -1).expire(key, KEPT_FOR).execute()
        except self._error:
            pass  # those who are there have heard it

    def of(self, room):
        try:
            return self._redis.lrange(f'chat:history:{room}', 0, -1)
        except self._error:
            return []

    def forget(self, room):
        """Others may be in there."""
