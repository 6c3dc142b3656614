"""A program in a network namespace: ``python -m load.host ADDRESS CHANNEL server|clients SETTINGS``; see network."""

from __future__ import annotations

import json
import sys

from load.network import be_host

if __name__ == '__main__':
    address, channel, program, settings = sys.argv[1:]
    be_host(address, int(channel))  # before anything starts a thread
    if program == 'server':
        from load.soak_server import serve

        serve({**json.loads(settings), 'host': address})
    else:
        from load.chaos_clients import obey

        obey(json.loads(settings))
