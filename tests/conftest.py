"""Shared by all tests: compilations are cached on disk, so a second run is fast."""

import os
from pathlib import Path

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "jax"))
# Smaller programs take longer to write than they save where they are met again: in the other worker, or in a process
# that a test starts (measured: all of them, 20 ms each).
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
