"""What dry runs scale recorded times with, against operations and times that were measured."""

import pytest

from subgrid.experiments.navier_stokes import amounts
from subgrid.experiments.navier_stokes.config import NavierStokesConfig, PriorTable
from subgrid.experiments.navier_stokes.methods import ModelName

DEFAULT = NavierStokesConfig()
PRIOR, FLOW, TRANSFORMER = ModelName("prior"), ModelName("clim-align", 4), ModelName("vision-transformer", 4)
GUIDED, FLOWS = ["entropic-ot+guided"], ["entropic-ot+conditional-flow"]


def changed(**tables):
    return NavierStokesConfig(**{name: dict(keys) for name, keys in tables.items()})


def test_a_stage_of_the_default_configuration_is_worth_one_or_the_steps_of_its_training():
    assert amounts.simulation(DEFAULT, "fine") == amounts.simulation(DEFAULT, "coarse") == 1
    assert amounts.unpaired(DEFAULT) == amounts.perfect(DEFAULT) == amounts.debiasing(DEFAULT) == 1
    assert amounts.training(DEFAULT, PRIOR) == DEFAULT.prior.n_steps


def test_methods_from_raw_fields_leave_nothing_to_debias_and_no_perfect_case():
    raw = changed(comparison={"methods": ["bcsd"]})
    assert amounts.debiasing(raw) < 1e-3
    assert amounts.perfect(raw) < 1e-3


@pytest.mark.parametrize(
    ("channels", "patch", "measured"), [((64, 128), 4, 31.00), ((32, 64, 128), 2, 46.33), ((64, 128), 2, 121.59)]
)
def test_operations_of_the_unet_are_in_proportion_to_the_products_of_a_step(channels, patch, measured):
    """Gigaflops of `benchmarks.training_step`, 32 fields of 64 x 64 points."""
    of_default = amounts.unet(PriorTable(), 64) / 46.33
    assert amounts.unet(PriorTable(channels=channels, patch=patch), 64) / of_default == pytest.approx(
        measured, rel=0.03
    )


def test_operations_of_a_flow_grow_with_filters_as_those_that_the_compiler_counts():
    """2.03 from 32 to 64 filters, 11.7 from 32 to 256: one step of Glow on three levels."""
    wide = lambda n: amounts.training(changed(baselines={"alignment_filters": n}), FLOW)  # noqa: E731
    assert wide(64) / wide(32) == pytest.approx(2.03, rel=0.2)
    assert wide(256) / wide(32) == pytest.approx(11.7, rel=0.2)


@pytest.mark.parametrize(
    ("amount", "before", "after", "ratio"),
    [
        (lambda c: amounts.simulation(c, "fine"), {}, {"navier_stokes": {"n_fine": 128, "time_step": 0.00625}}, 8),
        (lambda c: amounts.simulation(c, "coarse"), {}, {"navier_stokes": {"n_trajectories": 16}}, 1 / 4),
        (amounts.calibration, {"navier_stokes": {"n_trajectories": 32}}, {}, 2),
        (lambda c: amounts.training(c, PRIOR), {}, {"navier_stokes": {"n_fine": 256}}, 16),
        (lambda c: amounts.training(c, FLOW), {}, {"baselines": {"batch_size": 32}}, 2),
        (lambda c: amounts.training(c, TRANSFORMER), {}, {"baselines": {"transformer_patch": 2}}, 1 / 4),
        (amounts.perfect, {}, {"navier_stokes": {"n_fine": 128}, "prior": {"patch": 4}}, 1),
        (amounts.unpaired, {"comparison": {"methods": GUIDED}},
         {"comparison": {"methods": GUIDED}, "sampling": {"n_levels": 64}}, 2),
        (amounts.unpaired, {"comparison": {"methods": FLOWS}},
         {"comparison": {"methods": FLOWS}, "sampling": {"n_levels": 64}}, 1),
        (amounts.unpaired, {"comparison": {"methods": FLOWS}},
         {"comparison": {"methods": FLOWS}, "sampling": {"n_conditional_levels": 64}}, 4),
        (amounts.debiasing, {"comparison": {"methods": ["ddib+guided"]}},
         {"comparison": {"methods": ["ddib+guided"]}, "debias": {"n_noising_steps": 1000}}, 2),
        (amounts.debiasing, {"comparison": {"methods": ["ddib+guided"]}},
         {"comparison": {"methods": ["ddib+guided"]}, "debias": {"n_steps": 1000}}, 1),
        (amounts.debiasing, {"comparison": {"methods": GUIDED}},
         {"comparison": {"methods": GUIDED}, "debias": {"n_samples": 8192}}, 4),
    ],
)  # fmt: skip
def test_a_stage_is_worth_what_it_does(amount, before, after, ratio):
    assert amount(changed(**after)) / amount(changed(**before)) == pytest.approx(ratio, rel=1e-3)


def test_a_scan_takes_as_long_as_its_time_steps_are_short():
    scan = lambda **more: amounts.calibration(changed(calibration={"grids": [64], **more}))  # noqa: E731
    own = amounts.calibration(DEFAULT)  # the solver of the run is always one of the candidates
    assert scan(courant=0.25) - own == pytest.approx(2 * (scan() - own), rel=0.03)
