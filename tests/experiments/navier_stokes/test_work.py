"""What dry runs scale recorded times with."""

import pytest

from subgrid.experiments.navier_stokes import work
from subgrid.experiments.navier_stokes.config import NavierStokesConfig
from subgrid.experiments.navier_stokes.methods import ModelName

DEFAULT = NavierStokesConfig()
PRIOR, FLOW = ModelName("prior"), ModelName("clim-align", 4)


def changed(**tables):
    return NavierStokesConfig(**{name: dict(keys) for name, keys in tables.items()})


def test_work_is_that_of_the_default_configuration_and_trainings_are_told_in_its_steps():
    assert work.simulation(DEFAULT, "fine") == work.simulation(DEFAULT, "coarse") == 1
    assert work.unpaired(DEFAULT) == work.perfect(DEFAULT) == 1
    assert work.training(DEFAULT, PRIOR) == DEFAULT.prior.n_steps
    assert work.calibration(changed(calibration={"grids": work.SCANNED})) == 1


@pytest.mark.parametrize(
    ("amount", "tables", "ratio"),
    [
        (lambda c: work.simulation(c, "fine"), {"navier_stokes": {"n_fine": 128, "time_step": 0.00625}}, 8),
        (lambda c: work.simulation(c, "coarse"), {"navier_stokes": {"n_trajectories": 16}}, 1 / 4),
        (lambda c: work.calibration(c) / work.calibration(changed(calibration={"grids": [16]})),
         {"calibration": {"grids": [32]}}, 8),
        (lambda c: work.training(c, PRIOR) / DEFAULT.prior.n_steps, {"navier_stokes": {"n_fine": 256}}, 16),
        (lambda c: work.training(c, PRIOR) / DEFAULT.prior.n_steps, {"prior": {"channels": [64, 128, 256]}}, 4),
        (lambda c: work.training(c, FLOW) / work.training(DEFAULT, FLOW), {"baselines": {"batch_size": 32}}, 2),
        (work.unpaired, {"evaluation": {"n_unpaired": 512}, "sampling": {"n_levels": 64}}, 4),
        (work.perfect, {"navier_stokes": {"n_fine": 128}, "prior": {"patch": 4}}, 1),
        (lambda c: work.debiasing(c) / work.debiasing(DEFAULT), {"debias": {"batch_size": 256}}, 2),
    ],
)  # fmt: skip
def test_twice_as_much_takes_twice_as_long(amount, tables, ratio):
    assert amount(changed(**tables)) == pytest.approx(ratio)
