"""``python -m ws`` is wscat."""

import sys

from .wscat import main

sys.exit(main())
