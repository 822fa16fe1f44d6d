"""The methods of the moist-turbulence experiment: what they are trained on, and what a fit goes on from."""

from dataclasses import replace

import jax.random as jr
import numpy as np
import pytest

from subgrid.experiments.moist_turbulence import EXPERIMENT, methods
from subgrid.runs.experiment import open_run
from subgrid.training.checkpoint import CheckpointMismatch


@pytest.mark.slow
def test_a_fit_does_not_go_on_from_one_of_other_fields(simulated, tiny, tmp_path):
    run = open_run(EXPERIMENT, tiny, simulated)
    options = {"report": lambda *_: None, "key": run.key("fits", "flow-matching")}
    methods.fit_model("flow-matching", run.config, run.archives, tmp_path / "model", **options)
    fine = run.archives.fine
    others = replace(run.archives, fine=fine.with_values(fine.values[::-1].copy()))
    with pytest.raises(CheckpointMismatch, match="was begun with data = "):
        methods.fit_model("flow-matching", run.config, others, tmp_path / "model", **options)


@pytest.mark.slow
def test_transport_pairs_stay_within_their_context_and_are_closer(simulated, tiny):
    archives = open_run(EXPERIMENT, tiny, simulated).archives
    key = jr.key(0)
    at_random = methods._orders(archives, transport=False, key=key, n_orders=4)
    paired = methods._orders(archives, transport=True, key=key, n_orders=4)
    fine, coarse = archives.fine.values, archives.coarse.values
    cost = lambda orders: np.sum((coarse[orders] - fine) ** 2)  # noqa: E731
    assert cost(paired) < cost(at_random)
    for k in (1, 4):  # the same partners, in another order
        which = archives.fine.wavenumbers == k
        np.testing.assert_array_equal(np.sort(paired[:, which]), np.sort(at_random[:, which]))
