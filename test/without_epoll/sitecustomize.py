"""In PYTHONPATH, this takes from each Python that starts what WS_TEST_WITHOUT names: epoll, as on other systems."""

import os
import select

for name in os.environ.get('WS_TEST_WITHOUT', '').split():
    delattr(select, name)
