"""Shared by all tests: compilations are quick, and cached on disk; a tiny pair of archives and a tiny model."""

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import beartype
import pytest
from threadpoolctl import threadpool_limits

# Programs of the tests run for less time than they take to compile: without optimisation of the machine code, which
# changes no formula, they compile in half the time. `make test-all` compiles as for users.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "jax"))
# Smaller programs take longer to write than they save where they are met again: in the other worker, or in a process
# that a test starts (measured: all of them, 20 ms each).
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

# Two workers fill two cores. BLAS with threads of its own, which wait for each other by spinning, takes more than a
# hundred times as long there for the small decompositions of the tests (measured: .8 s for an SVD of 120 × 330).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
threadpool_limits(1, user_api="blas")  # of NumPy, which a plugin has loaded already where there are no workers (-n0)

# Each compilation leaves many objects that live as long as the process; looking through them all again and again takes
# a tenth of the time.
gc.set_threshold(50_000, 50, 1000)


def lazily(check: Callable) -> Callable:
    """A decorator whose work, as long as an import, is done when the function is called: most never are in a worker."""

    def decorate(function: Callable) -> Callable:
        made = None

        def checked(*arguments, **options):
            nonlocal made
            made = made or check(function)
            return made(*arguments, **options)

        return checked

    return decorate


beartype.beartype = lazily(
    beartype.beartype
)  # what `--jaxtyping-packages` decorates every function of the package with


def pytest_collection_finish():
    gc.freeze()  # what was imported stays
    if "jax" in sys.modules:
        from jax._src.interpreters import mlir

        # JAX writes each program in a context of its own, which takes 3 ms to make: a quarter of a small compilation.
        mlir.make_ir_context = cache(mlir.make_ir_context)


def pytest_sessionfinish():
    gc.freeze()  # pytest's last collections, of a process that ends, have nothing to look through


MEMORY = 1.4e9
"""Bytes of its own, files apart that workers share, above which a process drops its compiled programs: they, and their
memory maps, live as long as it does. Two workers and what a test starts stay below 4 GB, and far from the 65530 maps
past which XLA crashes on Linux."""


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    """Drops compiled programs after a file of tests, where they have become many, and the context of their text."""
    yield
    if "jax" in sys.modules:
        from jax._src.interpreters import mlir

        getattr(mlir.make_ir_context, "cache_clear", lambda: None)()
    if sys.platform == "linux" and _own() > MEMORY:
        import jax  # only here: the environment above is read when jax is imported

        jax.clear_caches()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # or glibc keeps what is free


def _own() -> int:
    _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


# What imports jax is imported in the fixtures alone: the environment above is read when jax is imported.


@pytest.fixture
def subgrid(capsys, monkeypatch):
    """A way to call the command line in-process; figures are sketched."""
    from subgrid.cli.main import run

    from .tiny import Outcome, sketched

    def call(*arguments) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["subgrid", *map(str, arguments)])
        with sketched():
            code = run()
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def archives(tmp_path_factory) -> Path:
    """A folder with fine.nc (32 points) and coarse.nc (8 points), 64 samples each."""
    from .tiny import waves

    folder = tmp_path_factory.mktemp("archives")
    waves(64, 32, seed=0).to_netcdf(folder / "fine.nc")
    coarse = waves(64, 8, seed=1)
    coarse.u.values *= 1.3
    coarse.to_netcdf(folder / "coarse.nc")
    return folder


@pytest.fixture(scope="session")
def model(archives, tmp_path_factory) -> Path:
    """A model of both archives, its guided prior trained for twenty steps; fitted by the worker that asks first."""
    from subgrid import fit
    from subgrid.downscaling.model.folder import is_finished

    from .cases import shared_folder

    network = {"channels": (16,), "n_blocks": 1, "n_steps": 20, "batch_size": 8, "steps_per_dispatch": 10}
    given = {"prior": "network", "debias_options": {"n_quantiles": 10}, "progress": False}
    shared, lock = shared_folder(tmp_path_factory)
    with lock:
        if not is_finished(shared / "plain"):
            fit(archives / "fine.nc", archives / "coarse.nc", folder=shared / "plain", key=0, **network, **given)
    return shared / "plain"
