"""Scores of single sets of flows."""

import numpy as np
import pytest

from subgrid.experiments.navier_stokes.metrics import flow_scores

SWIRLS = np.random.default_rng(1).normal(size=(8, 1, 16, 16)).astype(np.float32)


def test_the_error_of_the_flux_of_scaled_fields_is_cubic_and_finite_where_fields_have_exploded():
    """Π(sω) = s³ Π(ω): the error is (s³ − 1) times the size of Π."""
    twice = flow_scores(2 * SWIRLS, SWIRLS, 4)["flux"]
    assert flow_scores(SWIRLS, SWIRLS, 4)["flux"] == 0
    assert flow_scores(np.float32(1e8) * SWIRLS, SWIRLS, 4)["flux"] == pytest.approx(1e24 / 7 * twice, rel=1e-3)
