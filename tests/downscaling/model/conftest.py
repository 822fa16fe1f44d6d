"""A tiny model of dated archives that several files ask questions of; nothing is trained, the Gaussian is enough."""

import pytest


@pytest.fixture(scope="session")
def dated_model(tmp_path_factory):
    """tas and pr of 1990 to 1993, debiased by quantile mapping; fitted by the worker that asks first."""
    import subgrid
    from subgrid.downscaling.model.folder import is_finished

    from ...cases import shared_folder
    from ..climate_pair import COARSE, FINE, rain, temperature, with_sea
    from ..dated import fit

    fine = with_sea(temperature(FINE, seed=1).merge(rain(FINE, seed=1)))
    coarse = temperature(COARSE, seed=2, bias=2.0).merge(rain(COARSE, seed=2, factor=0.7))
    options = {"debias": "quantile-mapping", "debias_options": {"n_quantiles": 20, "strength": 1.0}, "n_steps": 0}
    folder, lock = shared_folder(tmp_path_factory)
    with lock:
        if is_finished(folder / "dated"):
            return subgrid.load(folder / "dated")
        return fit(folder / "dated", fine, coarse, ("tas", "pr"), **options)
