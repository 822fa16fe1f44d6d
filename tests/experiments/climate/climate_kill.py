"""`subgrid` in a process of its own, with work items of a few days, so that a kill finds some done and some not."""

import sys

from subgrid.cli.main import run
from subgrid.downscaling.model import blocks

blocks.DRAWS_AT_ONCE = 24

if __name__ == "__main__":
    sys.exit(run())
