"""One part of every kind that a stored model may hold, and whether two parts are the same to the bits."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import xarray as xr
from jax.experimental import sparse

from subgrid.data.normalise import Standardiser
from subgrid.data.variables.quantities import Described, describe_name
from subgrid.data.variables.wanted import Variable
from subgrid.downscaling.climate.coarse_fit import FittedOn
from subgrid.downscaling.debiasing.dynamic import DynamicTransport
from subgrid.downscaling.debiasing.series import Fieldwise
from subgrid.downscaling.debiasing.static import Composed, NoDebiasing, QuantileMapping, VarianceScaling
from subgrid.downscaling.debiasing.tried import Candidate, DebiasingChoice
from subgrid.downscaling.interpolation.places import AtPoints
from subgrid.downscaling.model.seen import SeenFields
from subgrid.downscaling.model.sides import CoarseClimate, CoarseSide, FineSide, Reading
from subgrid.downscaling.model.windows import Cut
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.climatology import ChangeSignal, Climatology
from subgrid.downscaling.preparation.normal_score import NormalScore
from subgrid.downscaling.preparation.pairing import MemberClimates
from subgrid.downscaling.preparation.steps import Anomaly, Bounded, Cells, Centred, Changed, Filled, Masked, Transformed
from subgrid.downscaling.preparation.transforms import Arcsine, CensoredRoot, ChannelTransforms, Root, Unchanged
from subgrid.downscaling.spread.calibration import SpreadCalibration
from subgrid.downscaling.spread.dispersion import Dispersion
from subgrid.downscaling.spread.post_processing import PostProcessing
from subgrid.downscaling.spread.shape import Shape
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.functional.gaussian_field import GaussianField, field_of
from subgrid.functional.preconditioning import BandNetwork, ModewiseOperator
from subgrid.functional.preparation import FunctionSpace, Standard
from subgrid.networks.layers import (
    Convolution,
    Linear,
    NoiseEmbedding,
    ResidualBlock,
    RootMeanSquareNorm,
    SelfAttention,
)
from subgrid.networks.mlp import MLP
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.numerics.modes import Box
from subgrid.numerics.operators import BlockMean, PaddedCoarsening, SparseCoarsening, Subsample
from subgrid.numerics.spectra import MeasuredSpectrum
from subgrid.transport.bridge import Bridge, ProbabilityFlow
from subgrid.transport.gaussian import GaussianMap
from subgrid.transport.linear_velocity import CorrectedVelocity, LinearVelocity
from subgrid.transport.sinkhorn import EntropicMap
from subgrid.transport.velocity import NetworkVelocity

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def on_device(*shape: int) -> jax.Array:
    return jax.device_put(numbers(*shape))


def filled(network: Callable, *arguments, **options):
    """A network whose weights are numbers: its initialisation is traced, not compiled."""
    made = eqx.filter_eval_shape(network, *arguments, **options, key=jr.key(0))
    return jax.tree.map(lambda leaf: on_device(*leaf.shape) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf, made)


def curvilinear() -> xr.Dataset:
    """A grid of two-dimensional latitudes and longitudes, with a scalar, names and attributes of many kinds."""
    coordinates = {
        "lat": (("y", "x"), 40 + numbers(3, 4).astype(np.float64), {"units": "degrees_north", "bounds": [1, 2]}),
        "lon": (("y", "x"), numbers(3, 4).astype(np.float64)),
        "height": ((), np.float64(2.0), {"units": "m"}),
        "reference time": ((), np.datetime64("2001-02-03T04:05", "ns")),
        "name": ("y", np.array(["Zürich", "東京", ""])),
    }
    channel = ((), np.float32(0), {"units": "K", "long_name": "température à 2 m", "valid_range": [0.0, 400.0]})
    attributes = {"space": ["y", "x"], "title": "Простор — ΔT ≥ 0", "shape": [3, 4], "n": 3}
    return xr.Dataset({"tas": channel}, coordinates, attributes)


TRANSFORMS = ChannelTransforms((Unchanged(), CensoredRoot(0.3, 1 / 3)))
CLIMATOLOGY = Climatology(on_device(3, 2, 3, 4))
SIGNAL = ChangeSignal(CLIMATOLOGY, Climatology(on_device(3, 2, 3, 4)), ("additive", "multiplicative"))
CHAIN = Chain(
    (
        Bounded(np.array([-np.inf, 0.0], np.float32), np.array([np.inf, 400.0], np.float32)),
        Transformed(TRANSFORMS),
        Anomaly(CLIMATOLOGY),
        Masked(numbers(3, 4) > 0),
    )
)
READING = Reading(
    ("tas", "pr"),
    (describe_name("tas"), describe_name("pr")),
    ("K", "mm day-1"),
    {"tas": Variable(("t2m", "tg"), "temperature", (None, 400.0), "degC", (-99.0, "none"))},
    "daily",
    "day",
    True,
    (1981, 2005),
)
KEPT = np.array([True, True, False, True])
MAPPING = QuantileMapping(on_device(5, 3), on_device(5, 3))
FITTED_ON = FittedOn(numbers(40, 1, 3), np.arange(40) < 30, numbers(35, 1, 3), {"method": "gaussian", "strength": 0.4})
LINEAR = LinearVelocity(on_device(5, 6, 6), on_device(5, 6))
MLP_VELOCITY = NetworkVelocity(filled(MLP, (2, 3), (2, 3), hidden=(4, 4)), 0.7)
UNET = filled(UNet, 2, 2, 2, UNetSettings((4, 8), 1, 1, ("reflect", "periodic"), (1,), 2, 8))
BRIDGE = Bridge(CorrectedVelocity(LINEAR, MLP_VELOCITY), CorrectedVelocity(LINEAR, MLP_VELOCITY), 0.5)
CANDIDATE = Candidate("gaussian", 0.1 + 0.2, 1e-17, float("nan"), 0.3, 0.4, -0.5, float("inf"))
CLIMATE = CoarseClimate(CLIMATOLOGY, MemberClimates(("r1i1p1", "r2i1p1"), numbers(2, 3, 2, 3, 4), np.array([9, 7])))
TABLE = Dispersion(on_device(2, 3), on_device(2, 3))
SHAPE = Shape(on_device(5), on_device(2, 2, 3, 5), on_device(2, 3), jax.device_put(np.array([0, 1, 0])))
CALIBRATION = SpreadCalibration(on_device(4), on_device(2, 3), on_device(2, 3), TABLE, TABLE, SHAPE)

SEEN = SeenFields(numbers(1, 4), abs(numbers(1, 4)), numbers(2, 4), abs(numbers(2)), 0.25, np.sort(abs(numbers(9))))

BOX = Box((2.0,))
MEASURED = MeasuredSpectrum(abs(numbers(1, 9)), (16,), abs(numbers(1)), abs(numbers(1)))
NOISE, DATA = GaussianField(1.0, 3.0, 2.0, variance=1.0), field_of(MEASURED, 2.0)
STANDARD = Standard((0.5,), (2.0,), BOX)
FUNCTIONS = FunctionSpace(NOISE, DATA, (16,), STANDARD, None)
SMALL = filled(UNet, 1, 1, 1, UNetSettings(channels=(4,), n_blocks=1, patch=2))
BAND = BandNetwork(SMALL, BOX, (16,))
OPERATOR = ModewiseOperator(BAND, DATA, NOISE)

EXAMPLES: dict[str, Any] = {
    "model of functions": FunctionDiffusion(OPERATOR, FUNCTIONS, 10.0, 0.01),
    "modewise operator": OPERATOR,
    "band network": BAND,
    "function space": FUNCTIONS,
    "standard fields": STANDARD,
    "gaussian field": NOISE,
    "box": BOX,
    "power law": NOISE.spectrum,
    "measured spectrum": MEASURED,
    "subsample": Subsample((12, 8), (3, 2)),
    "block mean": BlockMean((12, 8), (3, 2)),
    "sparse coarsening": SparseCoarsening(abs(numbers(3, 12)), fine_shape=(3, 4), coarse_shape=(3,)),
    "padded coarsening": PaddedCoarsening(BlockMean((6, 4), 2), (8, 8)),
    "chain": CHAIN,
    "cells": Cells(KEPT),
    "mask": Masked(KEPT),
    "fill": Filled(KEPT, numbers(2)),
    "centre": Centred(numbers(2, 4)),
    "bounds": CHAIN.steps[0],
    "transform": Transformed(TRANSFORMS),
    "anomaly": Anomaly(CLIMATOLOGY),
    "change": Changed(SIGNAL),
    "climatology": CLIMATOLOGY,
    "change signal": SIGNAL,
    "channels": TRANSFORMS,
    "unchanged": Unchanged(),
    "censored root": CensoredRoot(0.3, 1 / 3),
    "root": Root(None, 5.5),
    "arcsine": Arcsine(0.0, 100.0),
    "normal score": NormalScore(on_device(5), on_device(5)),
    "standardise": Standardiser(on_device(2), on_device(2)),
    "quantity": Described("precipitation", "the name “pr”", (0.0, None), "censored root"),
    "variable": READING.wanted["tas"],
    "cut": Cut(((1, 3), (0, 2))),
    "points": AtPoints(np.array([[0, 1], [5, 6]]), abs(numbers(2, 2)), 2),
    "coarse side": CoarseSide(
        READING, curvilinear(), Chain((Cells(KEPT), *CHAIN.steps)), FITTED_ON, CLIMATE, None, SEEN
    ),
    "fine side": FineSide(curvilinear(), CHAIN, Subsample((12,), 3), Cut(((0, 2),))),
    "seen fields": SEEN,
    "reading": READING,
    "coarse climate": CLIMATE,
    "member climates": CLIMATE.members,
    "debiasing choice": DebiasingChoice("gaussian", 0.3, (CANDIDATE, CANDIDATE), (15, 10), (33.3, 20.1), 12),
    "candidate": CANDIDATE,
    "samples to fit on": FITTED_ON,
    "field by field": Fieldwise(MAPPING, 17),
    "no debiasing": NoDebiasing(),
    "composed": Composed((NoDebiasing(), MAPPING)),
    "variance scaling": VarianceScaling(on_device(2, 3), on_device(2, 3), on_device(2, 3)),
    "quantile mapping": MAPPING,
    "entropic map": EntropicMap(on_device(9, 3), on_device(3), on_device(9), 0.1),
    "gaussian map": GaussianMap(on_device(3, 3), on_device(3), on_device(3)),
    "dynamic transport": DynamicTransport(
        CorrectedVelocity(LINEAR, MLP_VELOCITY), Standardiser(on_device(2), on_device(2)), 3
    ),
    "network velocity": MLP_VELOCITY,
    "linear velocity": LINEAR,
    "corrected velocity": CorrectedVelocity(LINEAR, MLP_VELOCITY),
    "probability flow": ProbabilityFlow(BRIDGE),
    "bridge": BRIDGE,
    "mlp": MLP_VELOCITY.network,
    "unet": UNET,
    "unet stage": UNET.middle,
    "linear layer": filled(Linear, 2, 3),
    "convolution": filled(Convolution, 2, 3, padding=("zero", "reflect")),
    "rms norm": RootMeanSquareNorm(),
    "residual block": filled(ResidualBlock, 4, 8, padding=("periodic",)),
    "self-attention": filled(SelfAttention, 4, heads=2),
    "post-processing": PostProcessing(CALIBRATION, MAPPING),
    "spread calibration": CALIBRATION,
    "dispersion": TABLE,
    "shape of a spread": SHAPE,
    "noise embedding": filled(NoiseEmbedding, 6, n_frequencies=4),
}


def require_same(found: Any, wanted: Any, path: str = "part") -> None:
    """Passes if two parts have one class, one structure, and the same numbers to the bits (a NaN is a NaN)."""
    assert type(found) is type(wanted), path
    match wanted:
        case np.ndarray() | jax.Array():
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), path
            np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted), err_msg=path)
            if np.asarray(wanted).dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted), err_msg=path)
        case sparse.BCOO():
            require_same((found.data, found.indices, found.shape), (wanted.data, wanted.indices, wanted.shape), path)
            assert found.indices_sorted == wanted.indices_sorted and found.unique_indices == wanted.unique_indices
        case xr.Dataset():
            xr.testing.assert_identical(found, wanted)
        case dict():
            assert list(found) == list(wanted), path
            for name in wanted:
                require_same(found[name], wanted[name], f"{path}.{name}")
        case tuple() | list():
            assert len(found) == len(wanted), path
            for i, (one, other) in enumerate(zip(found, wanted, strict=True)):
                require_same(one, other, f"{path}.{i}")
        case _ if dataclasses.is_dataclass(wanted):
            for field in dataclasses.fields(wanted):
                require_same(getattr(found, field.name), getattr(wanted, field.name), f"{path}.{field.name}")
        case float():
            assert found == wanted or (found != found and wanted != wanted), path
        case _:
            assert found == wanted, path
