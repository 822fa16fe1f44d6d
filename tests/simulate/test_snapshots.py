"""Snapshots: the same bits however a run is split, limits of the time step, and the time at which one blows up."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.simulate.kolmogorov_flow import KolmogorovFlow, SpectralSolver, initial_vorticity
from subgrid.simulate.snapshots import Schedule, courant_number, trajectories
from subgrid.simulate.staggered import StaggeredSolver

FLOW = KolmogorovFlow(16, 0.02, time_step=0.02)
SOLVERS = {"fine": SpectralSolver, "coarse": StaggeredSolver}


def starts(flow, n=3):
    return jax.jit(jax.vmap(lambda key: initial_vorticity(flow, key=key)))(jr.split(jr.key(0), n))


def whole(solver, start, schedule, **options):
    return np.concatenate(list(trajectories(solver, start, schedule, **options)), axis=1)


@pytest.mark.parametrize("which", SOLVERS)
def test_same_bits_for_any_split_of_batch_and_time(which):
    solver, start = SOLVERS[which](FLOW), starts(FLOW)
    seen = []
    together = whole(solver, start, Schedule(5, 0.1, spin_up=0.3), report=lambda *p: seen.append(p))
    assert seen == [(i, 7) for i in range(1, 8)]
    assert together.shape == (3, 5, 16, 16) and together.dtype == np.float32
    one_by_one = [whole(solver, start[i : i + 1], Schedule(5, 0.1, 0.3, chunk=2)) for i in range(3)]
    np.testing.assert_array_equal(together, np.concatenate(one_by_one))
    assert [part.shape[1] for part in trajectories(solver, start, Schedule(5, 0.1, 0.3, chunk=2))] == [2, 2, 1]
    # Stopped after the second snapshot and taken up again.
    rest = whole(solver, together[:, 1], Schedule(3, 0.1, spin_up=0.1))
    np.testing.assert_array_equal(rest, together[:, 2:])
    assert np.abs(together[:, 0] - together[:, 1]).max() > 0.1


@pytest.mark.parametrize("which", SOLVERS)
def test_an_interval_is_as_many_steps(which):
    solver, start = SOLVERS[which](FLOW), starts(FLOW, 1)
    expected, _ = eqx.filter_jit(lambda solver, w: solver.advance(w, 10))(solver, start[0])
    got = whole(solver, start, Schedule(2, 0.2))
    np.testing.assert_allclose(got[0, 0], start[0], atol=1e-6)
    np.testing.assert_allclose(got[0, 1], expected, atol=1e-5)


def test_an_unstable_time_step_is_named_before_the_run():
    schedule = Schedule(2, 0.5)
    slow = {"speed": 2.0}
    h = 2 * np.pi / 16
    limits = {"fine": 2 / (5 * 2), "coarse": 1 / (np.sqrt(2) * 2 / h + 4 * 0.02 / h**2 + 0.1)}
    for which, limit in limits.items():
        flow = KolmogorovFlow(16, 0.02, time_step=0.5)
        courant = courant_number(flow, 2.0)
        assert courant == pytest.approx(2.0 * 0.5 * 16 / (2 * np.pi))
        with pytest.raises(
            ValueError,
            match=f"time_step 0.5 is unstable on 16 points: at the speed 2 its Courant number is {courant:.3g}, and "
            f"{courant * limit / 0.5:.3g} is the limit; use a time_step of at most {limit:.3g}",
        ):
            trajectories(SOLVERS[which](flow), starts(flow), schedule, **slow)
    # By default the laminar flow's speed, 1/(.02·16 + .1), or that of the starts.
    with pytest.raises(ValueError, match="at the speed 3 its"):
        trajectories(StaggeredSolver(flow), starts(flow), schedule)
    fast = KolmogorovFlow(16, 1e-3, time_step=0.5)
    with pytest.raises(ValueError, match=r"at the speed 8.62 its"):
        trajectories(StaggeredSolver(fast), starts(fast), schedule)
    with pytest.raises(ValueError, match="neither viscosity nor drag limits the force"):
        trajectories(StaggeredSolver(KolmogorovFlow(16, 0.0, 0.0)), starts(fast), Schedule(1, 0.1))


@pytest.mark.parametrize("which", SOLVERS)
def test_steps_within_the_limit_are_stable_and_beyond_it_are_not(which):
    """The laminar flow carries a small wave: the worst that a linear analysis knows of."""
    flow = KolmogorovFlow(16, 0.0, 0.05, time_step=1e-3)
    limit = SOLVERS[which](flow).largest_time_step(flow.laminar_speed)
    y = 2 * np.pi * np.arange(16)[:, None] / 16
    laminar = jnp.asarray(-4 * flow.laminar_speed * np.cos(4 * y) + 0 * y.T, jnp.float32)
    noise = 1e-3 * starts(flow, 1)[0]
    for factor, stable in ((0.9, True), (6.0, False)):
        solver = SOLVERS[which](KolmogorovFlow(16, 0.0, 0.05, time_step=factor * limit))
        later, n_finite = eqx.filter_jit(lambda solver, w: solver.advance(w, 200))(solver, laminar + noise)
        bounded = bool(n_finite == 200) and float(jnp.abs(later).max()) < 10 * float(jnp.abs(laminar).max())
        assert bounded == stable


def test_the_first_value_that_is_not_finite_is_found_with_its_time():
    flow = KolmogorovFlow(16, 0.02, time_step=0.5)
    solver, start = StaggeredSolver(flow), 50 * starts(flow, 2)
    advance = eqx.filter_jit(lambda w: solver.advance(w, 1))
    w, step = start[1], 0
    while jnp.isfinite(w).all():
        w, step = advance(w)[0], step + 1
    calm = jnp.stack([0 * start[0], start[1]])
    with pytest.raises(
        ArithmeticError, match=rf"trajectory 1 is not finite any more at t = {step * 0.5:g} \(step {step} "
    ):
        whole(solver, calm, Schedule(50, 1.0), speed=0.1)


def test_bad_input():
    solver = StaggeredSolver(FLOW)
    with pytest.raises(ValueError, match=r"start must have the shape \(trajectory, 16, 16\), got \(3, 32, 32\)"):
        trajectories(solver, np.zeros((3, 32, 32), np.float32), Schedule(1, 0.1))
    with pytest.raises(ValueError, match=r"time_step must divide the interval 0.05 .*, got 0.02; use 0.0166667"):
        trajectories(solver, starts(FLOW), Schedule(1, 0.05))
    with pytest.raises(ValueError, match=r"spin_up must be a multiple of the interval 0.1, got 0.25; use 0.2"):
        trajectories(solver, starts(FLOW), Schedule(1, 0.1, spin_up=0.25))
    with pytest.raises(ValueError, match="n_snapshots and chunk must be at least 1"):
        trajectories(solver, starts(FLOW), Schedule(0, 0.1))
