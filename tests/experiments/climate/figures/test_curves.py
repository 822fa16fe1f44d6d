"""Curves against closed forms."""

import numpy as np
from matplotlib.figure import Figure

from subgrid.experiments.climate.figures import curves
from subgrid.verification.dependence import DistanceBins


def differences(axes):
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}


def test_a_shift_is_a_constant_difference_of_quantiles():
    main, difference = Figure().subplots(2, 1)
    reference = np.random.default_rng(1).normal(size=(50, 9))
    curves.quantile_quantile(
        (main, difference), reference, {"raw": reference + 0.5, "floor": reference}, variable="tas", units="K"
    )
    np.testing.assert_allclose(differences(difference)["raw"], 0.5)
    assert main.get_ylabel() == "quantile [K]"
    assert difference.get_xlabel() == "quantile of the tas reference [K]"


def test_curves_by_distance_leave_empty_bins_out():
    main, difference = Figure().subplots(2, 1)
    distance = np.array([50.0, np.nan, 200.0])
    reference = DistanceBins(distance, np.array([0.9, np.nan, 0.5]), np.array([3, 0, 2]))
    other = DistanceBins(distance, np.array([0.95, np.nan, 0.7]), np.array([3, 0, 2]))
    curves.by_distance((main, difference), reference, {"raw": other}, quantity="correlation", units="")
    np.testing.assert_allclose(differences(difference)["raw"], [0.05, 0.2])
    np.testing.assert_allclose(differences(main)["reference"], [0.9, 0.5])
