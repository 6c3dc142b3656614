"""The WebSocket protocol, pure: bytes in, calls and bytes out. No socket, no thread, no clock."""
