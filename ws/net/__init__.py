"""The threaded socket layer: one loop thread, non-blocking streams. It knows nothing of WebSockets."""
