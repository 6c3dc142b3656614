"""In PYTHONPATH, this makes of each Python that starts one of a system without epoll, with the selector of that name."""

import os
import select
import selectors

if 'WS_TEST_SELECTOR' in os.environ:
    del select.epoll
    selectors.DefaultSelector = getattr(selectors, os.environ['WS_TEST_SELECTOR'])
