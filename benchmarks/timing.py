"""How long a compiled call takes."""

import time
from collections.abc import Callable

import jax


def median_seconds(call: Callable[[], object], *, repeats: int = 9) -> float:
    """Median over `repeats` of the time until the result is ready, after one call that compiles and warms up."""
    jax.block_until_ready(call())
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(call())
        durations.append(time.perf_counter() - started)
    return sorted(durations)[repeats // 2]


def matrix_product_rate(size: int = 2048) -> float:
    """Floating-point operations a second of one large float32 matrix product: this machine's own ceiling."""
    matrix = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: a @ a)
    return 2 * size**3 / median_seconds(lambda: product(matrix))
