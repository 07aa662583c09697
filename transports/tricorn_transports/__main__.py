"""``python -m tricorn_transports`` is the command ``tricorn``."""

import sys

from tricorn_transports.cli import main

sys.exit(main())
