"""How a client gets its connection."""
