"""What is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """Which messages go over which connections. ``mode`` is echo, broadcast, idle, or client, which turns it about."""

    name: str
    title: str
    size: int
    connections: int = 1
    in_flight: int = 1  # on each
    kind: str = 'binary'  # see frames.py
    mode: str = 'echo'
    deflate: bool = False
    tls: bool = False


KIB, MIB = 1 << 10, 1 << 20

SCENARIOS = [
    Scenario('64', 'echo, 64 B binary, 1 in flight', 64),
    Scenario('64-text', 'echo, 64 B text, 1 in flight', 64, kind='text'),
    Scenario('64x64', 'echo, 64 B binary, 64 in flight', 64, in_flight=64),
    Scenario('64x64-text', 'echo, 64 B text, 64 in flight', 64, in_flight=64, kind='text'),
    Scenario('100', 'echo, 100 connections, 64 B binary, 1 in flight on each', 64, connections=100),
    Scenario('100x8', 'echo, 100 connections, 1 KiB binary, 8 in flight on each', KIB, connections=100, in_flight=8),
    Scenario('64k', 'echo, 64 KiB binary, 1 in flight', 64 * KIB),
    Scenario('1m', 'echo, 1 MiB binary, 1 in flight', MIB),
    Scenario('16m', 'echo, 16 MiB binary, 1 in flight', 16 * MIB),
    Scenario('1m-unicode', 'echo, 1 MiB of non-ASCII text, 1 in flight', MIB, kind='unicode'),
    Scenario('broadcast', 'broadcast of 64 B binary to 1,000 (each delivery is a message)', 64, 1000, mode='broadcast'),
    Scenario('idle', '5,000 idle connections', 64, 5000, mode='idle'),
    Scenario('deflate-64', 'permessage-deflate, echo, 64 B text, 64 in flight', 64, 1, 64, 'json', deflate=True),
    Scenario('deflate-64k', 'permessage-deflate, echo, 64 KiB text, 1 in flight', 64 * KIB, kind='json', deflate=True),
    Scenario('tls-64x64', 'TLS, echo, 64 B binary, 64 in flight', 64, in_flight=64, tls=True),
    Scenario('tls-64k', 'TLS, echo, 64 KiB binary, 1 in flight', 64 * KIB, tls=True),
    Scenario('tls-idle', 'TLS, 5,000 idle connections', 64, 5000, mode='idle', tls=True),
    Scenario('client-64', 'clients, 64 B binary, 1 in flight', 64, mode='client'),
    Scenario('client-64x64', 'clients, 64 B binary, 64 in flight', 64, in_flight=64, mode='client'),
    Scenario('client-64k', 'clients, 64 KiB binary, 1 in flight', 64 * KIB, mode='client'),
]
QUICK = ['64', '64x64', '100x8', '64k', '1m-unicode', 'broadcast', 'idle', 'deflate-64', 'tls-64x64', 'client-64x64']
