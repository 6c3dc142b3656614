"""In PYTHONPATH, this makes each Python that starts one of a system without epoll, and with the selector named."""

import os
import select
import selectors

if 'WS_TEST_SELECTOR' in os.environ:
    del select.epoll
    selectors.DefaultSelector = getattr(selectors, os.environ['WS_TEST_SELECTOR'])
