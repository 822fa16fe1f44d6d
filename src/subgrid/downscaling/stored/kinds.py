"""The kinds of parts that a stored model may hold: a name for good, and the class that it stands for now.

A model names kinds and never classes, so that a class can move or change its name and old models still load; and only
what stands here is ever made of a file.
"""

import importlib
from functools import cache

KINDS = {
    "subsample": "subgrid.numerics.operators:Subsample",
    "block mean": "subgrid.numerics.operators:BlockMean",
    "padded coarsening": "subgrid.numerics.operators:PaddedCoarsening",
    "sparse coarsening": "subgrid.numerics.operators:SparseCoarsening",
    "chain": "subgrid.downscaling.preparation.chain:Chain",
    "cells": "subgrid.downscaling.preparation.steps:Cells",
    "centre": "subgrid.downscaling.preparation.steps:Centred",
    "fill": "subgrid.downscaling.preparation.steps:Filled",
    "mask": "subgrid.downscaling.preparation.steps:Masked",
    "bounds": "subgrid.downscaling.preparation.steps:Bounded",
    "transform": "subgrid.downscaling.preparation.steps:Transformed",
    "anomaly": "subgrid.downscaling.preparation.steps:Anomaly",
    "change": "subgrid.downscaling.preparation.steps:Changed",
    "climatology": "subgrid.downscaling.preparation.climatology:Climatology",
    "change signal": "subgrid.downscaling.preparation.climatology:ChangeSignal",
    "channels": "subgrid.downscaling.preparation.transforms:ChannelTransforms",
    "unchanged": "subgrid.downscaling.preparation.transforms:Unchanged",
    "censored root": "subgrid.downscaling.preparation.transforms:CensoredRoot",
    "root": "subgrid.downscaling.preparation.transforms:Root",
    "arcsine": "subgrid.downscaling.preparation.transforms:Arcsine",
    "normal score": "subgrid.downscaling.preparation.normal_score:NormalScore",
    "standardise": "subgrid.data.normalise:Standardiser",
    "quantity": "subgrid.data.variables.quantities:Described",
    "variable": "subgrid.data.variables.wanted:Variable",
    "cut": "subgrid.downscaling.model.windows:Cut",
    "points": "subgrid.downscaling.interpolation.places:AtPoints",
    "coarse side": "subgrid.downscaling.model.sides:CoarseSide",
    "fine side": "subgrid.downscaling.model.sides:FineSide",
    "seen fields": "subgrid.downscaling.model.seen:SeenFields",
    "reading": "subgrid.downscaling.model.sides:Reading",
    "coarse climate": "subgrid.downscaling.model.sides:CoarseClimate",
    "member climates": "subgrid.downscaling.preparation.pairing:MemberClimates",
    "debiasing choice": "subgrid.downscaling.debiasing.tried:DebiasingChoice",
    "candidate": "subgrid.downscaling.debiasing.tried:Candidate",
    "samples to fit on": "subgrid.downscaling.climate.coarse_fit:FittedOn",
    "post-processing": "subgrid.downscaling.spread.post_processing:PostProcessing",
    "spread calibration": "subgrid.downscaling.spread.calibration:SpreadCalibration",
    "dispersion": "subgrid.downscaling.spread.dispersion:Dispersion",
    "shape of a spread": "subgrid.downscaling.spread.shape:Shape",
    "field by field": "subgrid.downscaling.debiasing.series:Fieldwise",
    "no debiasing": "subgrid.downscaling.debiasing.static:NoDebiasing",
    "composed": "subgrid.downscaling.debiasing.static:Composed",
    "variance scaling": "subgrid.downscaling.debiasing.static:VarianceScaling",
    "quantile mapping": "subgrid.downscaling.debiasing.static:QuantileMapping",
    "entropic map": "subgrid.transport.sinkhorn:EntropicMap",
    "gaussian map": "subgrid.transport.gaussian:GaussianMap",
    "dynamic transport": "subgrid.downscaling.debiasing.dynamic:DynamicTransport",
    "network velocity": "subgrid.transport.velocity:NetworkVelocity",
    "linear velocity": "subgrid.transport.linear_velocity:LinearVelocity",
    "corrected velocity": "subgrid.transport.linear_velocity:CorrectedVelocity",
    "probability flow": "subgrid.transport.bridge:ProbabilityFlow",
    "bridge": "subgrid.transport.bridge:Bridge",
    "model of functions": "subgrid.functional.function_diffusion:FunctionDiffusion",
    "modewise operator": "subgrid.functional.preconditioning:ModewiseOperator",
    "band network": "subgrid.functional.preconditioning:BandNetwork",
    "function space": "subgrid.functional.preparation:FunctionSpace",
    "standard fields": "subgrid.functional.preparation:Standard",
    "gaussian field": "subgrid.functional.gaussian_field:GaussianField",
    "box": "subgrid.numerics.modes:Box",
    "power law": "subgrid.numerics.spectra:PowerLaw",
    "measured spectrum": "subgrid.numerics.spectra:MeasuredSpectrum",
    "mlp": "subgrid.networks.mlp:MLP",
    "unet": "subgrid.networks.unet:UNet",
    "unet stage": "subgrid.networks.unet:UNetStage",
    "linear layer": "subgrid.networks.layers:Linear",
    "convolution": "subgrid.networks.layers:Convolution",
    "rms norm": "subgrid.networks.layers:RootMeanSquareNorm",
    "residual block": "subgrid.networks.layers:ResidualBlock",
    "self-attention": "subgrid.networks.layers:SelfAttention",
    "noise embedding": "subgrid.networks.layers:NoiseEmbedding",
}


@cache
def class_of(kind: str) -> type:
    """The class of a kind; a `KeyError` for one that this version does not know."""
    module, _, name = KINDS[kind].partition(":")
    return getattr(importlib.import_module(module), name)


def kind_of(part: object) -> str | None:
    """The kind of a part; None for what has none."""
    own = f"{type(part).__module__}:{type(part).__qualname__}"
    return next((kind for kind, name in KINDS.items() if name == own), None)
