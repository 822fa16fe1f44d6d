"""Staggered finite volumes: discrete exact solutions, orders, conservation, the damping of upwind, reference values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.numerics.operators import Subsample
from subgrid.numerics.spectral import translate
from subgrid.simulate.kolmogorov_flow import KolmogorovFlow
from subgrid.simulate.staggered import (
    StaggeredSolver,
    Velocity,
    divergence,
    project,
    velocity_of,
    vorticity_of,
)

from .carpenter_kennedy import axes, three_waves

UNFORCED = {"viscosity": 0.0, "drag": 0.0, "amplitude": 0.0}


def faces(n):
    """(x, y) of the points of u, then of those of v."""
    h = 2 * np.pi / n
    x, y = axes(n)
    return (x, y + h / 2), (x + h / 2, y)


def run(solver, velocity, n_steps):
    """(u, v) after n_steps, in double precision."""
    with jax.enable_x64(True):
        advance = jax.jit(lambda w, n: jax.lax.fori_loop(0, n, lambda _, w: solver.step(w), w))
        return Velocity(*map(np.asarray, advance(Velocity(*map(jnp.asarray, velocity)), jnp.asarray(n_steps))))


def in_double(function, *arrays):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, function(*jax.tree.map(jnp.asarray, arrays)))


def test_reference_values():
    (xu, yu), (xv, yv) = faces(16)
    u = np.sin(xu) * np.cos(yu) + 0.3 * np.cos(2 * yu)
    v = -np.cos(xv) * np.sin(yv) + 0.2 * np.sin(xv)
    start = in_double(project, Velocity(u, v))
    energy = lambda w: (w.u**2 + w.v**2).mean() / 2  # noqa: E731
    assert energy(start) == pytest.approx(0.282500, abs=6e-7)
    later = run(StaggeredSolver(KolmogorovFlow(16, 0.01, time_step=0.02)), start, 100)
    assert energy(later) == pytest.approx(0.353357, abs=6e-7)
    assert (in_double(vorticity_of, later) ** 2).mean() / 2 == pytest.approx(3.2969, abs=6e-5)
    # Stated by x first, with faces at (i + 1)h: [y, x + 1] of u, [y + 1, x] of v here.
    assert later.u[0, 1] == pytest.approx(0.77233, abs=6e-6)
    assert later.v[6, 3] == pytest.approx(0.18133, abs=6e-6)
    assert np.abs(in_double(divergence, later)).max() < 1e-13  # 16/2π × eps × a few


def test_flow_from_rest_and_the_laminar_flow_are_those_of_the_scheme():
    flow = KolmogorovFlow(32, time_step=0.01)
    h = flow.spacing
    (_, y), _ = faces(32)
    rate = flow.viscosity * (2 - 2 * np.cos(4 * h)) / h**2 + flow.drag
    laminar = np.sin(4 * y) / rate
    assert 1 / rate == pytest.approx(8.6810, abs=1e-4)  # 8.6207 in the limit
    solver, rest = StaggeredSolver(flow), np.zeros((32, 32))
    later = run(solver, (laminar, rest), 50)
    np.testing.assert_allclose(later.u, laminar, atol=1e-12)
    np.testing.assert_allclose(later.v, 0, atol=1e-12)
    # Euler: the difference from the laminar flow shrinks by 1 − rate·dt a step.
    np.testing.assert_allclose(run(solver, (rest, rest), 50).u, laminar * (1 - (1 - 0.01 * rate) ** 50), atol=1e-12)


def test_taylor_green_vortices_converge_at_first_order():
    errors = []
    for n in (16, 32, 64):
        (xu, yu), (xv, yv) = faces(n)
        start = np.sin(xu) * np.cos(yu), -np.cos(xv) * np.sin(yv)
        flow = KolmogorovFlow(n, 0.02, 0.0, amplitude=0.0, time_step=1.6 / n)
        exact = np.exp(-2 * 0.02)
        errors.append(np.abs(run(StaggeredSolver(flow), start, n * 5 // 8).u - exact * start[0]).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 0.95).all() and (orders < 1.3).all()


def test_momentum_is_conserved_and_a_uniform_flow_stays():
    rng = np.random.default_rng(0)
    start = in_double(project, Velocity(*(rng.normal(size=(2, 16, 16)) + np.array([1.0, -0.5])[:, None, None])))
    solver = StaggeredSolver(KolmogorovFlow(16, 0.01, 0.0, amplitude=0.0, time_step=0.01))
    later = run(solver, start, 50)
    for before, after in zip(start, later, strict=True):
        assert after.mean() == pytest.approx(before.mean(), abs=1e-14)
        assert np.abs(after - before).max() > 0.1
    uniform = np.full((16, 16), 2.0), np.full((16, 16), -1.0)
    np.testing.assert_allclose(run(solver, uniform, 50), uniform, rtol=1e-14)


def carried(n, courant, profile, advection, n_steps):
    """v = profile(x) carried along x by u = 1: nothing else happens to it."""
    h = 2 * np.pi / n
    solver = StaggeredSolver(KolmogorovFlow(n, time_step=courant * h, **UNFORCED), advection)
    v = np.broadcast_to(profile(np.arange(n) * h), (n, n))
    return v[0], run(solver, (np.ones((n, n)), v), n_steps).v


@pytest.mark.parametrize("waves", [1, 3])
def test_upwind_damps_a_wave_by_its_factor(waves):
    courant, n_steps = 0.4, 5
    before, after = carried(16, courant, lambda x: np.sin(waves * x), "upwind", n_steps)
    assert np.ptp(after, axis=0).max() < 1e-14  # still independent of y
    ratio = np.abs(np.fft.rfft(after[0])[waves] / np.fft.rfft(before)[waves]) ** 2
    theta = 2 * np.pi * waves / 16
    assert ratio == pytest.approx((1 - 4 * courant * (1 - courant) * np.sin(theta / 2) ** 2) ** n_steps, rel=1e-12)


def test_limited_fluxes_make_no_new_extremes_and_are_of_second_order_where_it_is_smooth():
    before, after = carried(32, 0.5, lambda x: np.where(x < 2, 1.0, 0.0), "van-leer", 16)
    assert after.min() > -1e-14 and after.max() < 1 + 1e-14
    total_variation = lambda w: np.abs(np.roll(w, -1) - w).sum()  # noqa: E731
    assert total_variation(after[0]) < total_variation(before) + 1e-13
    errors = []
    for n in (32, 64):
        _, later = carried(n, 0.5, np.sin, "van-leer", n // 2)
        exact = np.sin(2 * np.pi * np.arange(n) / n - np.pi / 2)
        errors.append(np.abs(later[0] - exact).mean())
    assert np.log2(errors[0] / errors[1]) > 1.7  # 2, but for the extremes, where the limiter acts


def test_vorticity_and_velocity_are_inverse_to_each_other():
    vorticity = np.random.default_rng(1).normal(size=(24, 24))
    velocity = in_double(velocity_of, vorticity)
    np.testing.assert_allclose(in_double(vorticity_of, velocity), vorticity - vorticity.mean(), atol=1e-12)
    np.testing.assert_allclose(in_double(divergence, velocity), 0, atol=1e-12)
    assert abs(velocity.u.mean()) < 1e-14 and abs(velocity.v.mean()) < 1e-14


def test_the_projection_leaves_vorticity_and_mean_and_is_orthogonal():
    given = Velocity(*np.random.default_rng(2).normal(size=(2, 24, 24)))
    projected = in_double(project, given)
    np.testing.assert_allclose(in_double(divergence, projected), 0, atol=1e-12)
    np.testing.assert_allclose(in_double(vorticity_of, projected), in_double(vorticity_of, given), atol=1e-12)
    assert sum(((a - b) * a).mean() for a, b in zip(projected, given, strict=True)) == pytest.approx(0, abs=1e-14)


def test_vorticity_lives_on_the_points_of_the_fine_grid():
    """Else C′, every f-th point, would compare fields half a cell apart."""
    in_place, beside = [], []
    for n in (32, 64):
        (xu, yu), (xv, yv) = faces(n)
        velocity = Velocity(-np.cos(xu) * np.sin(2 * yu), np.sin(xv) * np.cos(2 * yv) / 2)
        exact = lambda x, y: 2.5 * np.cos(x) * np.cos(2 * y)  # noqa: E731
        fine = in_double(Subsample((256, 256), 256 // n), exact(*axes(256)))
        discrete = in_double(vorticity_of, velocity)
        in_place.append(np.abs(discrete - fine).max())
        beside.append(np.abs(discrete - in_double(lambda w: translate(w, (0.5, 0.5)), fine)).max())
    assert in_place[0] / in_place[1] == pytest.approx(4, rel=0.02)  # second order
    assert beside[0] / beside[1] < 2.1  # a phase error of half a cell: first order
    start = three_waves(16)
    np.testing.assert_allclose(in_double(lambda w: vorticity_of(velocity_of(w)), start), start, atol=1e-13)


def test_bad_input():
    with pytest.raises((ValueError, TypeError), match="van-leer"):  # the tests' type checker may be the first
        StaggeredSolver(KolmogorovFlow(32), "central")  # pyright: ignore
