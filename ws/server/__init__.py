"""How a server gets its connections."""
