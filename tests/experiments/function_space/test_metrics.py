"""Metrics of samples on a grid: waves of known energy, scaled, shifted and cut."""

import numpy as np
import pytest

from subgrid.experiments.function_space import metrics
from subgrid.experiments.function_space.metrics import (
    drift,
    energy_beyond,
    last_shell,
    log_ratio,
    spectrum,
    standard_error,
    value_distance,
)
from subgrid.numerics.modes import Box

TORUS, WALLS = Box((1.0, 1.0)), Box((1.0,), "neumann")


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_jackknife_finds_the_standard_error_of_a_ratio_of_variances():
    """Of n normal values a side, var(x)/var(y) has the standard error √(2/n + 2/n); fields are one value each."""
    n = 4000
    ratio = lambda x, y: float(np.var(x) / np.var(y))  # noqa: E731
    found = [standard_error(ratio, normals(n, 1, 1, seed=i), normals(n, 1, 1, seed=100 + i)) for i in range(20)]
    assert np.mean(found) == pytest.approx(np.sqrt(4 / n), rel=0.2)  # each is right to a quarter


def test_energy_lies_at_the_waves_that_a_field_is_made_of():
    x = np.arange(16) / 16
    field = (3 + 2 * np.cos(2 * np.pi * (3 * x[:, None] + 4 * x)))[None, None].astype(np.float32)
    found = spectrum(field, TORUS)
    assert found[0] == pytest.approx(9, rel=1e-5) and found[5] == pytest.approx(2, rel=1e-5)
    assert np.delete(found, [0, 5]).max() < 1e-9


def test_between_walls_two_cosines_share_a_shell():
    x = (np.arange(32) + 0.5) / 32
    fields = np.stack([np.cos(np.pi * n * x) for n in (3, 4)])[:, None].astype(np.float32)
    assert spectrum(fields, WALLS)[2] == pytest.approx(0.5, rel=1e-5)


def test_scaled_fields_are_twice_the_logarithm_off_in_every_shell():
    fields = normals(8, 1, 16, 16)
    assert log_ratio(3 * fields, fields, TORUS, 1, 7) == pytest.approx(2 * np.log(3), rel=1e-5)


def test_what_lies_beyond_is_what_a_cut_takes():
    fields = normals(8, 1, 16, 16)
    low = np.asarray(TORUS.resize(TORUS.resize(fields_array(fields), (8, 8)), (16, 16)))
    assert energy_beyond(low, TORUS, 4) < 1e-8 and energy_beyond(fields, TORUS, 4) > 0.5
    assert drift(np.asarray(TORUS.resize(fields_array(fields), (8, 8))), fields, TORUS) < 1e-6
    assert last_shell(TORUS, 8) == 3


def fields_array(fields):
    import jax.numpy as jnp

    return jnp.asarray(fields)


def test_values_that_are_shifted_are_as_far_as_the_shift():
    fields = normals(40, 1, 16, 16)
    assert value_distance(fields + 0.5, fields) == pytest.approx(0.5 / fields.std(), rel=1e-3)


def test_every_metric_is_explained_and_digits_have_theirs():
    for system in ("ramp-mixture", "wave-mixture", "forced-vorticity", "digits"):
        for n in (32, 64):
            assert set(metrics.metrics_of(system, n, 32)) <= set(metrics.ABOUT)
    assert "W1 of perimeter" in metrics.metrics_of("digits", 32, 32)
