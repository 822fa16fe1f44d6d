"""The archives: resumed to the same bits, split by trajectory, images of held-out fields under the symmetries alone."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.experiments.navier_stokes import archives
from subgrid.experiments.navier_stokes.config import EvaluationTable, FlowTable, NavierStokesConfig
from subgrid.numerics.symmetries import random_images

TABLE = FlowTable(
    n_fine=16, n_coarse=16, factors=(2,), time_step=0.05, coarse_time_step=0.05, n_trajectories=4, n_snapshots=11,
    interval=0.1, spin_up=0.2,
)  # fmt: skip
KEY = jr.key(3)


class Killed(Exception):
    pass


def simulate(folder, report=lambda *_: None):
    path = folder / "fine.zarr"
    archives.simulate(TABLE, "fine", path, folder / "fine.partial.zarr", report=report, key=KEY)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("archive"))


def test_a_run_that_was_killed_goes_on_to_the_same_bits(whole, tmp_path):
    def report(done, total):
        if done > 7:  # in the middle of the second chunk
            raise Killed

    with pytest.raises(Killed):
        simulate(tmp_path, report)
    assert not (tmp_path / "fine.zarr").exists()
    resumed = simulate(tmp_path)
    first, second = (xr.open_zarr(path, consolidated=False).vorticity.values for path in (whole, resumed))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (4, 11, 16, 16) and np.isfinite(first).all() and (first.std((0, 2, 3)) > 0).all()


def test_progress_counts_snapshots_and_ends_with_all_of_them(tmp_path):
    told = []
    simulate(tmp_path, lambda done, total: told.append((done, total)))
    counts = [done for done, _ in told]
    assert counts == sorted(counts) and counts[-1] == 10 and {total for _, total in told} == {11}


def test_whole_trajectories_are_held_out_and_seen_under_the_symmetries(whole):
    config = NavierStokesConfig(navier_stokes=TABLE, evaluation=EvaluationTable(n_images=3))
    fine = archives.load_fine(config, whole, reference=jr.key(0), independent=jr.key(1))
    runs = xr.open_zarr(whole, consolidated=False).vorticity.values
    np.testing.assert_array_equal(fine.training, runs[:2].reshape(-1, 1, 16, 16))
    assert len(fine.reference) == len(fine.independent) == 3 * 11
    # A symmetry moves values and may change all signs: the sizes that occur in a field stay what they are.
    sizes = lambda fields: np.sort(np.abs(fields.reshape(len(fields), -1)), axis=1)  # noqa: E731
    np.testing.assert_allclose(sizes(fine.reference[:11]), sizes(runs[2]), rtol=1e-6)
    assert not np.array_equal(fine.reference[:11], runs[2].reshape(-1, 1, 16, 16))


def test_coarse_points_are_points_of_the_archive(whole):
    config = NavierStokesConfig(navier_stokes=TABLE)
    coarse = archives.load_coarse(config, whole, key=KEY)
    np.testing.assert_array_equal(coarse.at(8).training, coarse.training[..., ::2, ::2])


def test_symmetries_of_observed_points_take_them_to_observed_points():
    observed = np.zeros((1, 64, 64), np.float32)
    observed[:, ::8, ::8] = 1
    many = jnp.tile(observed, (64, 1, 1, 1))
    images = lambda n_shifts: np.abs(random_images(many, archives.symmetries(FlowTable(), n_shifts), key=KEY))  # noqa: E731
    np.testing.assert_array_equal(images(64 // 8), many)
    assert np.any(images(64) != many)
