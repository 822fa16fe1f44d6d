"""Models of Gaussian fields, whose posteriors are known by dense algebra: one refined, one of a network."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.denoiser import Preconditioned
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.refinement import Refined
from subgrid.downscaling.model.draws import SamplingSettings, draws_of
from subgrid.downscaling.model.sampler import Sampler
from subgrid.downscaling.model.sides import FineSide
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.climatology import Climatology
from subgrid.downscaling.preparation.steps import Anomaly, Bounded, Masked
from subgrid.downscaling.prior.model import Prior, PriorSettings
from subgrid.downscaling.refined.network_gain import NetworkGain
from subgrid.downscaling.refined.prior import RefinedPrior
from subgrid.downscaling.refined.prior_choice import PriorChoice
from subgrid.downscaling.refined.refinement import RefinementSettings
from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.operators import SparseCoarsening, Subsample

from ...diffusion.gaussian_fields import as_prior, posterior, ring, torus


class ExactNetwork(eqx.Module):
    """F of the preconditioned D = c_skip x + c_out F(c_in x, ¼ ln σ) for which D is a Gaussian's own denoiser."""

    gaussian: GaussianPrior

    def __call__(self, scaled, quarter_log):
        sigma = jnp.exp(4 * quarter_log)
        root = jnp.sqrt(1 + sigma**2)
        return (self.gaussian(scaled * root, sigma) - scaled / root) * root / sigma


class Nothing(eqx.Module):
    """F = 0, with which a refined Gaussian is exact."""

    n_channels: int = eqx.field(static=True)

    def __call__(self, features, quarter_log):
        return jnp.zeros_like(features[: self.n_channels])


@dataclass(frozen=True)
class GaussianModel:
    """What is sampled and the answer: x ~ N(m_y, Σ_y) of one target at one time, flattened, where there are values."""

    prior: Any
    fine: FineSide
    target: np.ndarray
    phase: np.ndarray | None
    mean: np.ndarray
    covariance: np.ndarray
    matrix: np.ndarray

    def sampler(self, **settings: Any) -> Sampler:
        shape = self.fine.mask, (False,) * self.target.shape[1]
        draws = draws_of(self.prior, self.fine.operator, SamplingSettings(**settings), mask=shape[0], bounded=shape[1])
        return Sampler(self.fine, draws)


def network_model() -> GaussianModel:
    """18 periodic points, N(7, 9·ring(18)), every third of them given; the denoiser is exact."""
    n, mean, std = 18, 7.0, 3.0
    gaussian = as_prior(np.zeros(n), ring(n), (1, n))
    standardiser = Standardiser(jnp.asarray([mean]), jnp.asarray([std]))
    prior = Prior(PriorSettings(1, (n,)), Preconditioned(ExactNetwork(gaussian)), standardiser, gaussian)
    grid = xr.Dataset({"u": ((), np.float32(0), {"units": "m s-1"})}, {"x": np.arange(float(n))}, {"space": ["x"]})
    matrix = np.eye(n)[::3]
    y = mean + std * np.float32([0.4, -1.3, 0.2, 1.9, 0.8, -0.5])
    wanted = posterior(np.full(n, mean), std**2 * ring(n), matrix, y, 0.0)
    return GaussianModel(prior, FineSide(grid, Chain(), Subsample((n,), 3)), y[None, None], None, *wanted, matrix)


def wave_prior() -> tuple[Prior, Subsample]:
    """24 periodic points with waves of three wavenumbers and nothing else, every fourth given: five tell the sixth."""
    n = 24
    angle = 2 * np.pi * np.arange(n) / n
    waves = np.stack([wave(k * angle) for k in (1, 2, 3) for wave in (np.cos, np.sin)])[:, None] / np.sqrt(n / 2)
    parts = np.zeros((1, n)), waves, np.array([5.0, 4.5, 4.0, 3.5, 3.0, 2.5]), 0.0, np.ones((1, n))
    gaussian = GaussianPrior(*(from_numpy(part) for part in parts))
    standardiser = Standardiser(jnp.zeros(1), jnp.ones(1))
    denoiser = Preconditioned(ExactNetwork(gaussian))
    return Prior(PriorSettings(1, (n,)), denoiser, standardiser, gaussian), Subsample((n,), 4)


SIDE, PADDED = 5, 6
MASK = np.ones((SIDE, SIDE), bool)
MASK[0, :2] = False
COARSE_CELLS = [
    (slice(0, 2), slice(0, 3)),
    (slice(0, 2), slice(3, 5)),
    (slice(2, 5), slice(0, 2)),
    (slice(2, 5), slice(2, 5)),
]


def refined_model(*, network: bool = False) -> GaussianModel:
    """Two correlated variables on a masked grid that is padded for the network, in units of their own, with a climate.

    With `network`, one is used that leaves the Gaussian as it is.
    """
    rng, scale, phase = np.random.default_rng(3), np.float32([2.0, 0.5]), np.array([0.2])
    inside = MASK.ravel()
    one = torus(SIDE)[inside][:, inside] + 0.1 * np.eye(inside.sum())
    covariance = np.kron([[1.0, 0.6], [0.6, 1.0]], one)
    mean = 0.1 * rng.normal(size=len(covariance))
    where = np.zeros((2, PADDED, PADDED), bool)
    where[:, :SIDE, :SIDE] = MASK
    variances, vectors = np.linalg.eigh(covariance)
    components, base_mean = np.zeros((len(variances) - 1, *where.shape)), np.zeros(where.shape)
    components[:, where], base_mean[where] = vectors.T[:0:-1], mean
    parts = base_mean, components, variances[:0:-1], variances[0], where
    base = GaussianPrior(*(from_numpy(part) for part in parts))
    refined = Refined(base, Nothing(2), jnp.zeros((1, PADDED, PADDED)))
    gain = NetworkGain(1.0, 0.5, 0.01, 100, 50.0) if network else None
    choice = PriorChoice(None, len(variances) - 1, {}, {})
    prior = RefinedPrior(refined, RefinementSettings(patch=2, channels=(4,)), scale, choice, gain)
    climatology = Climatology(jax.device_put(np.asarray(rng.normal(size=(3, 2, SIDE, SIDE)), np.float32)))
    free = np.float32([np.inf] * 2)
    chain = Chain((Bounded(-free, free), Anomaly(climatology), Masked(MASK)))
    rows = np.zeros((4, SIDE, SIDE))
    for row, cells in zip(rows, COARSE_CELLS, strict=True):
        row[cells] = MASK[cells]
    rows = (rows / rows.sum((1, 2), keepdims=True)).reshape(4, -1)
    empty = {name: ((), np.float32(0), {"units": "K"}) for name in ("tas", "ts")}
    grid = xr.Dataset(empty, {"lat": 40.0 + np.arange(SIDE), "lon": np.arange(SIDE)}, {"space": ["lat", "lon"]})
    fine = FineSide(grid, chain, SparseCoarsening(rows, fine_shape=(SIDE, SIDE), coarse_shape=(4,)))
    y = (scale[:, None] * np.float32([[0.9, -0.4, 0.2, 0.6], [0.1, 0.8, -0.9, 0.3]])).astype(np.float32)
    each, matrix = np.repeat(scale, inside.sum()), np.kron(np.eye(2), rows[:, inside])
    found, spread = posterior(each * mean, each[:, None] * covariance * each, matrix, y, 0.0)
    normal = np.asarray(climatology.mean(jnp.asarray(phase, jnp.float32)))[0][:, MASK].ravel()
    return GaussianModel(prior, fine, y[None], phase, normal + found, spread, matrix)
