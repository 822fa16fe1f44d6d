"""The table of sampler errors: method × grid × case against evaluations, with exact denoisers and no network.

Gaussian cases need no sampling: `propagation.py` carries their moments through every step. Mixtures are integrated over
the start for flows, and sampled for diffusions, all with the same noise.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.diffusion.driver import Method, evaluations_of_step, sample_with
from subgrid.diffusion.gaussian_steps import IsotropicGaussian
from subgrid.diffusion.propagation import moments_by_steps
from subgrid.downscaling.prior.noise_range import leading_std, sampling_range
from subgrid.downscaling.upsampling.choices import noise_grid, sampling_method
from subgrid.downscaling.upsampling.guided import MethodFor
from subgrid.experiments.sampler_errors.cases import (
    FIELDS,
    MIXTURES,
    PRODUCTS,
    ComponentMoments,
    Given,
    bend,
    component_moments,
    conditioned,
    covariance_of,
    denoise_mixture,
    exact_mixture_spreads,
    gaussian_of_mixture,
    guided,
    mixture_spreads,
    normal_points,
    takes_noise,
)
from subgrid.experiments.sampler_errors.config import SamplerErrorsTable
from subgrid.numerics.noise import standard_normal
from subgrid.runs.config import ConfigError
from subgrid.types import Key

Rows = list[dict[str, Any]]
NOISE_RANGE = (2e-3, 80.0)
"""Of methods that start from white noise; the others start as they do for users (`noise_range.py`)."""
GUIDED_GRID = "exponential"
"""Of the guided cases: what a grid changes is seen without guidance."""
EVERY_METHOD = "36 points given means of 6"
"""The case in which every method is guided; the others have the first alone, since each takes seconds to compile."""
PARTS = ("total", "inside a mode")
AFFINE = 1e-9
"""The most that a denoiser bends by rounding of float64."""
LARGE = 100
"""Values: of more, propagation takes 64 times the operations and more, and ends at 32 evaluations."""


# Methods and grids --------------------------------------------------------------------------------------------------


def method_of(name: str) -> MethodFor:
    """A method by its name."""
    return sampling_method(name)


def levels_of(grid: str, n: int, method: MethodFor, std: float = 1.0) -> Float[np.ndarray, " level"]:
    """n noise levels, largest first, for a field whose leading component has this standard deviation."""
    noise_range = sampling_range(std, NOISE_RANGE, method)
    processes = ("variance-preserving", "cosine")
    kind, process = ("process-time", grid) if grid in processes else (grid, "variance-exploding")
    return np.asarray(noise_grid(kind, n, noise_range, process=process))


def n_levels(method: Method, evaluations: int) -> int:
    """The most levels that cost no more evaluations: each step its own, and the last one."""
    return (evaluations - 1) // evaluations_of_step(method) + 1


def _padded(grid: str, counts: Sequence[int], method: MethodFor, std: float = 1.0) -> Float[np.ndarray, "count level"]:
    """Grids of all lengths in one array; what is beyond a length is not used."""
    grids = [levels_of(grid, n, method, std) for n in counts]
    return np.stack([np.pad(levels, (0, max(counts) - len(levels)), mode="edge") for levels in grids])


# Gaussians without guidance, component by component ------------------------------------------------------------------


def component_rows(table: SamplerErrorsTable, *, report: Callable[[str], None]) -> Rows:
    """Unit Gaussian, both fields, and both fields given coarse values with the exact conditional denoiser."""
    cases: dict[tuple[str, float | None], ComponentMoments] = {
        ("unit Gaussian", None): ComponentMoments(np.zeros(1), np.ones(1))
    }
    for field in FIELDS:
        covariance = covariance_of(field)
        cases[field, None] = component_moments(np.zeros(len(covariance)), covariance)
        for noise in (0.0, table.noise_variance):
            for given in conditioned(field, noise):
                cases[given.case, noise] = component_moments(given.mean, given.covariance)
    together = ComponentMoments(*map(np.concatenate, zip(*cases.values(), strict=True)))
    ends = np.cumsum([len(case.means) for case in cases.values()])[:-1]
    rows = []
    for name in table.methods:
        report(name)
        for grid in table.grids:
            found = _scalar_moments(name, grid, table.evaluations, together)
            split = [np.split(part, ends, axis=1) for part in found]
            for (case, noise), exact, means, variances in zip(cases, cases.values(), *split, strict=True):
                errors = [_diagonal_errors(*got, exact) for got in zip(means, variances, strict=True)]
                rows.append(_row(table, errors, case=case, noise=noise, method=name, grid=grid, guidance="exact"))
    return rows


def _scalar_moments(
    name: str, grid: str, evaluations: Sequence[int], exact: ComponentMoments
) -> tuple[Float[np.ndarray, "count d"], Float[np.ndarray, "count d"]]:
    """Mean and variance that a method gives each N(μ, λ), for each number of evaluations."""
    counts = [n_levels(_example(name), e) for e in evaluations]
    method = method_of(name)
    padded = jnp.asarray(_padded(grid, counts, method))
    means, variances = _propagate_scalars(method, padded, jnp.asarray(counts), *map(jnp.asarray, exact))
    return np.asarray(means), np.asarray(variances)


@eqx.filter_jit
def _propagate_scalars(method: MethodFor, levels: Array, counts: Array, means: Array, variances: Array):
    def one(mean, variance, levels, count):
        gaussian = IsotropicGaussian(mean[None], variance)
        denoiser = lambda x, sigma: mean + variance / (variance + sigma**2) * (x - mean)  # noqa: E731
        got, spread = moments_by_steps(denoiser, (1,), levels, count, method=method(gaussian))
        return got[0], spread[0, 0]

    along = jax.vmap(one, (0, 0, None, None))
    return jax.vmap(along, (None, None, 0, 0))(means, variances, levels, counts)


def _example(name: str) -> Method:
    return method_of(name)(IsotropicGaussian(jnp.zeros(1), jnp.ones(())))


def _diagonal_errors(means: np.ndarray, variances: np.ndarray, exact: ComponentMoments) -> dict[str, float]:
    """Wasserstein distance of Gaussians with the same eigenvectors."""
    total = exact.variances.sum()
    square = ((means - exact.means) ** 2).sum() + ((np.sqrt(variances) - np.sqrt(exact.variances)) ** 2).sum()
    return {"error": float(np.sqrt(square / total)), "std": float(np.sqrt(variances.sum() / total))}


# Through a guidance -------------------------------------------------------------------------------------------------


def require_affine(guidances: Sequence[str]) -> None:
    """Passes if moments can be carried through denoisers under all of these guidances; `ConfigError` if not."""
    given = conditioned("36 points", 0.0)[1]
    for guidance in guidances:
        if (found := bend(guidance, given)) > AFFINE:
            raise ConfigError(
                f'sampler_errors.guidances names "{guidance}", under which the denoiser of a Gaussian is not affine '
                f"(it bends by {found:.1g}); the table carries moments through every step, and they would not be those "
                "of samples. Leave it out, and compare it with `subgrid samplers`."
            )


def guided_rows(table: SamplerErrorsTable, *, report: Callable[[str], None]) -> Rows:
    """The fields given coarse values, with the prior's exact denoiser as each guidance makes it."""
    cases = [(given, v) for field in FIELDS for v in (0.0, table.noise_variance) for given in conditioned(field, v)]
    rows = []
    for (given, noise), guidance in product(cases, table.guidances):
        if noise and not takes_noise(guidance, given):
            continue
        evaluations = [e for e in table.evaluations if e <= 32 or given.mean.size <= LARGE]
        for name in table.guided_methods if given.case == EVERY_METHOD else table.guided_methods[:1]:
            report(f"{given.case}, {guidance}, {name}")
            errors = _guided_errors(given, guidance, name, evaluations)
            described = {"case": given.case, "noise": noise, "method": name, "grid": GUIDED_GRID}
            rows.append(_row(table, errors, **described, guidance=guidance))
    return rows


def _guided_errors(given: Given, guidance: str, name: str, evaluations: Sequence[int]) -> list[dict[str, float]]:
    counts = [n_levels(_example(name), e) for e in evaluations]
    method, std = method_of(name), leading_std(given.conditional.prior)
    padded = jnp.asarray(_padded(GUIDED_GRID, counts, method, std))
    exact_mean, exact_covariance, errors = np.asarray(given.mean), np.asarray(given.covariance), []
    # One after the other: mapped over levels, the Cholesky factors of moment matching hang on a CPU (jaxlib 0.10).
    for levels, count in zip(padded, counts, strict=True):
        mean, covariance = _propagate_guided(guidance, method, given, levels, jnp.asarray(count))
        errors.append(gaussian_errors(np.asarray(mean), np.asarray(covariance), exact_mean, exact_covariance))
    return errors


@eqx.filter_jit
def _propagate_guided(guidance: str, method: MethodFor, given: Given, levels: Array, count: Array):
    denoiser, gaussian = guided(guidance, given), given.conditional.given(given.target)
    return moments_by_steps(denoiser, gaussian.mean.shape, levels, count, method=method(gaussian))


def gaussian_errors(
    mean: Float[np.ndarray, " d"],
    covariance: Float[np.ndarray, "d d"],
    exact_mean: Float[np.ndarray, " d"],
    exact_covariance: Float[np.ndarray, "d d"],
) -> dict[str, float]:
    """Wasserstein distance of two Gaussians over √tr Σ, and the ratio of their total standard deviations.

    W₂² = |m − m′|² + tr Σ + tr Σ′ − 2 tr (Σ^½Σ′Σ^½)^½, of which rounding leaves up to 1e-6 where Σ is singular.
    """
    total, root = np.trace(exact_covariance), _root(exact_covariance)
    mixed = np.linalg.eigvalsh(root @ covariance @ root)
    square = np.trace(covariance) + total - 2 * np.sqrt(np.maximum(mixed, 0)).sum() + ((mean - exact_mean) ** 2).sum()
    return {"error": float(np.sqrt(max(square, 0.0) / total)), "std": float(np.sqrt(np.trace(covariance) / total))}


def _root(matrix: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


# Mixtures -----------------------------------------------------------------------------------------------------------


def mixture_rows(table: SamplerErrorsTable, *, report: Callable[[str], None], key: Key) -> Rows:
    """Standard deviation of the whole and inside a mode. Diffusions share their noise: grids differ by themselves."""
    points, weights = normal_points(4001)
    flow = jnp.asarray(points, jnp.float32), jnp.zeros((max(table.evaluations), 0, len(points)))
    n_noises = max(_example(name).n_noises for name in table.methods)
    drawn = standard_normal((1 + max(table.evaluations) * n_noises, table.n_samples), key=key)
    diffusion = drawn[0], drawn[1:].reshape(-1, n_noises, table.n_samples)
    rows = []
    for (case, std), name, grid in product(MIXTURES.items(), table.methods, table.grids):
        report(f"{case}, {name}")
        method, example, found = method_of(name), _example(name), []
        start, noises = diffusion if example.n_noises else flow
        for n in [n_levels(example, e) for e in table.evaluations]:
            levels = jnp.asarray(levels_of(grid, n, method), jnp.float32)
            values = _sample_mixture(method, levels, start, noises[:n, : example.n_noises], std=std)
            found.append(mixture_spreads(np.asarray(values), None if example.n_noises else weights))
        for part, spreads, exact in zip(PARTS, zip(*found, strict=True), exact_mixture_spreads(std), strict=True):
            errors = [{"error": abs(spread / exact - 1), "std": spread / exact} for spread in spreads]
            described = {"case": f"{case}, {part}", "noise": None, "method": name, "grid": grid}
            rows.append(_row(table, errors, **described, guidance="exact"))
    return rows


@eqx.filter_jit
def _sample_mixture(method: MethodFor, levels: Array, start: Array, noises: Array, *, std: float) -> Array:
    made = method(gaussian_of_mixture(start.shape, std=std))
    denoiser = partial(denoise_mixture, std=std)
    return sample_with(denoiser, made.start(start, levels[0]), levels, noises, method=made)


def sampling_noise(n: int) -> dict[str, float]:
    """Standard errors of the two standard deviations of a mixture: √((κ − 1)/4n), κ = 1.8, and 1/√(2n)."""
    of_parts = dict(zip(PARTS, ((0.8 / (4 * n)) ** 0.5, (2 * n) ** -0.5), strict=True))
    return {f"{case}, {part}": of_parts[part] for case, part in product(MIXTURES, PARTS)}


def _row(table: SamplerErrorsTable, errors: Sequence[dict[str, float]], **described: Any) -> dict[str, Any]:
    """One row: errors and ratios of standard deviations by evaluations, and the products each evaluation comes with."""
    by = {part: [float(f"{error[part]:.5g}") for error in errors] for part in ("error", "std")}
    return {
        **described,
        "products": PRODUCTS[described["guidance"]],
        "evaluations": list(table.evaluations[: len(errors)]),
        **by,
    }
