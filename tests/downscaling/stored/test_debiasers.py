"""Every debiaser that can be fitted maps fields that it has not seen to the same bits after it was kept and found."""

from typing import Any, get_args

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.downscaling.climate.coarse_fit import FittedOn
from subgrid.downscaling.debiasing.dynamic import TransportMethod, fit_transport
from subgrid.downscaling.debiasing.fit import DebiasMethod, fit_debiaser_array
from subgrid.downscaling.debiasing.of_anomalies import settled_options
from subgrid.downscaling.debiasing.series import Fieldwise
from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod, TransportSettings, debias_settings
from subgrid.downscaling.stored.part import load_part, save_part
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.transport.ends import Ends

TINY: dict[str, Any] = {"n_steps": 2, "batch_size": 8, "channels": (4,), "n_iterations": 2, "n_flow_steps": 2}
"""Of dynamic transports: not trained, but moved."""
OTHERS: dict[str, Any] = {"epsilon": 3.0, "n_samples": 32, "n_quantiles": 8}
DYNAMIC = get_args(TransportMethod)
SLOW = (*DYNAMIC, "quantile-delta-mapping", "dotc")
"""They train, or import xsdba, for seconds; `test_kinds.py` keeps and finds the same parts."""


def methods(names: Any) -> list[Any]:
    return [pytest.param(each, marks=pytest.mark.slow) if each in SLOW else each for each in get_args(names)]


def fields(n: int, *shape: int, seed: int, scale: float = 1.0) -> np.ndarray:
    """Fields whose neighbours are alike, about 3."""
    white = np.random.default_rng(seed).normal(size=(n, *shape))
    return (3 + scale * (white + 0.7 * np.roll(white, 1, -1))).astype(np.float32)


def kept_and_found(part: Any, folder: Any) -> Any:
    save_part(folder / "part.zarr", part)
    return load_part(folder / "part.zarr")


def require_same_images(debiaser: Any, folder: Any, new: np.ndarray) -> None:
    found = kept_and_found(debiaser, folder)
    wanted = Fieldwise(debiaser).adjust(new)
    assert np.isfinite(wanted).all()
    np.testing.assert_array_equal(Fieldwise(found).adjust(new), wanted)
    assert jax.tree.structure(found) == jax.tree.structure(debiaser)  # as compiled programs see it


@pytest.mark.parametrize("method", methods(DebiasMethod))
@pytest.mark.parametrize("corrections", [(), ("covariance", "marginals")])
def test_of_plain_fields(method, corrections, tmp_path):
    settings = debias_settings(corrections=corrections, **TINY, **OTHERS)
    debiaser, _ = fit_debiaser_array(
        fields(48, 2, 4, seed=0, scale=1.5),
        fields(40, 2, 8, seed=1),
        Subsample((8,), 2),
        settings,
        method=method,
        key=jr.key(0),
    )
    require_same_images(debiaser, tmp_path, fields(5, 2, 4, seed=2, scale=2.0))


@pytest.mark.parametrize("method", ["entropic-ot", pytest.param("interpolant", marks=pytest.mark.slow)])
def test_of_periodic_planes_whose_shifts_are_as_likely(method, tmp_path):
    settings = debias_settings(
        translation_invariant=True, n_correction_samples=64, **TINY | {"channels": (4, 8)}, **OTHERS
    )
    parts = fields(48, 1, 4, 4, seed=0, scale=1.5), fields(40, 1, 8, 8, seed=1), BlockMean((8, 8), 2)
    debiaser, _ = fit_debiaser_array(*parts, settings, method=method, key=jr.key(0))
    require_same_images(debiaser, tmp_path, fields(5, 1, 4, 4, seed=2))


@pytest.mark.parametrize("method", methods(TransportMethod))
def test_transports_of_vectors(method, tmp_path):
    """With a perceptron in place of a UNet."""
    ends = Ends(jnp.asarray(fields(24, 1, 6, seed=0, scale=1.5)), jnp.asarray(fields(20, 1, 6, seed=1)))
    transport, _ = fit_transport(ends, TransportSettings(**TINY), method=method, padding=None, key=jr.key(0))
    require_same_images(transport, tmp_path, fields(5, 1, 6, seed=2))


def fitted_on(method: ClimateDebiasMethod, **options: Any) -> FittedOn:
    """Of 40 fields of two variables at six cells."""
    source, target = fields(50, 2, 6, seed=0, scale=1.5), fields(40, 2, 6, seed=1)
    if method in DYNAMIC:
        options |= {"hidden": (4,), **{name: value for name, value in TINY.items() if name != "channels"}}
    return FittedOn(source, np.arange(50) % 5 > 0, target, {"method": method, "n_quantiles": 8, **options})


@pytest.mark.parametrize("method", methods(ClimateDebiasMethod))
@pytest.mark.parametrize("options", [{"strength": 1.0}, {"strength": 0.3, "marginals": False}], ids=["whole", "part"])
def test_of_anomalies(method, options, tmp_path):
    debiaser = fitted_on(method, **options)
    found, new = kept_and_found(debiaser, tmp_path), fields(7, 2, 6, seed=2)
    assert "debiaser" not in vars(found)  # nothing is fitted before it is used
    wanted = debiaser.adjust(new)
    assert np.isfinite(wanted).all() and (method == "none") == np.array_equal(wanted, new)
    np.testing.assert_array_equal(found.adjust(new), wanted)


@pytest.mark.parametrize("method", ["gaussian", "flow-matching"])
def test_what_was_not_asked_for_is_kept_too(method):
    """A default that changes later changes no model: all arguments are in it."""
    found = settled_options(method=method, n_quantiles=7)
    dynamic = {
        "n_steps": 500,
        "batch_size": 128,
        "learning_rate": 5e-4,
        "sigma": 0.5,
        "n_iterations": 4,
        "n_flow_steps": 8,
    }
    assert found == {
        "method": method,
        "strength": 1.0,
        "marginals": True,
        "n_quantiles": 7,
        "explained_variance": 0.9,
        "hidden": (128, 128),
        **(dynamic if method == "flow-matching" else {}),
    }
