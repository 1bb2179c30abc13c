"""`python -m mico_runner` is `mico-run`."""

import sys

from mico_runner.cli import main

if __name__ == "__main__":  # not where a process that is spawned imports it
    sys.exit(main())
