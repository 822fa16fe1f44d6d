"""How long a compiled call takes."""

import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp


def median_seconds(call: Callable[[], object], *, repeats: int = 9) -> float:
    """Median over `repeats` of the time until the result is ready, after one call that compiles and warms up."""
    jax.block_until_ready(call())
    return sorted(_seconds(call) for _ in range(repeats))[repeats // 2]


def interleaved_seconds(calls: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, list[float]]:
    """Sorted times of each call, all of them once a round: what slows the machine down slows all of them down."""
    for call in calls.values():
        jax.block_until_ready(call())
    rounds = [{name: _seconds(call) for name, call in calls.items()} for _ in range(repeats)]
    return {name: sorted(times[name] for times in rounds) for name in calls}


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - started


def large_products(repeats: int, size: int = 2048) -> tuple[Callable[[], object], int]:
    """Large float32 matrix products, one after the other, and their operations: this machine's own ceiling."""
    matrix = jax.random.normal(jax.random.key(0), (size, size)) / size**0.5

    @jax.jit
    def product(matrix):
        return jax.lax.scan(lambda power, _: (jnp.dot(power, matrix), None), matrix, None, length=repeats)[0]

    return lambda: product(matrix), repeats * 2 * size**3


def matrix_product_rate(size: int = 2048) -> float:
    """Floating-point operations a second of one large float32 matrix product."""
    call, operations = large_products(1, size)
    return operations / median_seconds(call)
