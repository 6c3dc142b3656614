"""Rooms: connections by name, in one process, and over a bus in many processes on many machines.

    from ws.rooms import Rooms
    from ws.rooms.redis import RedisBus

Importing ``ws`` does not bring this along. See doc/rooms.md.
"""

from .audience import Audience
from .bus import Bus, BusListener
from .rooms import Rooms

__all__ = ['Audience', 'Bus', 'BusListener', 'Rooms']
