"""`python -m mico_runner` is `mico-run`."""

import sys

from mico_runner.cli import main

sys.exit(main())
