"""Numerical inversion: the quantile function of a density on the line, from a monotone table and Newton steps.

The line is cut into cells that double in width away from a centre. Cells are halved until Gauss's rule agrees with
itself on both halves; their masses, summed, are the table. A quantile is looked up, interpolated in its cell, and
polished by Newton's method for F(x) = u, where F inside a cell is Gauss's rule again.

Limitations. *Mathematical*: no finite number of evaluations can tell an integral that converges slowly from one that
diverges, nor see a mode that is much narrower than a hundredth of its distance from the centre. *Merely convenient*: in
float32 the table has 24 bits, so of the upper tail what is rarer than 1e-7 is missing.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

LogDensity = Callable[[Scalar], Scalar]
Cells = Float[np.ndarray, "cell 2"]
Masses = Float[np.ndarray, " cell"]
Halves = Float[np.ndarray, "half 2"]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
OCTAVES = 30
"""To either side of the centre: 2^30 ≈ 1e9 scales, whose fourth power float32 can still hold."""
CELLS_PER_OCTAVE = 16
MAX_HALVINGS = 60
MAX_CELLS = 16384
HIGHER = 300.0
"""Of log f, above all of the first points: e^300 is far from overflow, and farther from any table."""
CHUNK = 1024
"""Cells that are evaluated together: always as many, so that the density compiles once."""
N_NEWTON = 8
"""Newton steps of a quantile; from the linear guess three are enough in the bulk, and cells of the tails are wide."""


class NotNormalisable(ArithmeticError):
    """The integral of a density does not converge, or is not a positive number."""


class TabulatedQuantile(eqx.Module):
    """F⁻¹ of a density on the line: a monotone table, and Newton steps x ← x − (F(x) − u)/f(x) kept inside the cell.

    Args:
        log_density: log f(x) up to a constant, of one number.
        edges: x_k, rising.
        cumulative: F(x_k), from 0 to 1.
        log_normaliser: log ∫f.

    Examples:
        >>> quantile = tabulate_quantile(lambda x: -(x**4) / 4)
        >>> quantile(jnp.array([0.5]))  # 0
    """

    log_density: LogDensity
    edges: Float[Array, " edge"]
    cumulative: Float[Array, " edge"]
    log_normaliser: Scalar

    def __call__(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The quantiles of numbers between 0 and 1."""
        return jax.vmap(self._invert)(u.reshape(-1)).reshape(u.shape)

    def density(self, x: Scalar) -> Scalar:
        """f(x)/∫f."""
        return jnp.exp(self.log_density(x) - self.log_normaliser)

    def _invert(self, u: Scalar) -> Scalar:
        k = jnp.clip(jnp.searchsorted(self.cumulative, u, side="right") - 1, 0, len(self.edges) - 2)
        left, right = self.edges[k], self.edges[k + 1]
        below, mass = self.cumulative[k], self.cumulative[k + 1] - self.cumulative[k]

        def polish(_, carry):
            x, low, high = carry
            excess = below + self._mass(left, x) - u
            low, high = jnp.where(excess < 0, x, low), jnp.where(excess < 0, high, x)
            newton = x - excess / self.density(x)
            inside = jnp.clip(newton, low, high)
            # Out by rounding, once converged; out by far, or NaN, where the density is nearly zero.
            near = jnp.abs(newton - inside) <= (high - low) / 64
            return jnp.where(near, inside, (low + high) / 2), low, high

        guess = left + (right - left) * jnp.clip((u - below) / jnp.where(mass > 0, mass, 1.0), 0.0, 1.0)
        return jax.lax.fori_loop(0, N_NEWTON, polish, (guess, left, right))[0]

    def _mass(self, a: Scalar, b: Scalar) -> Scalar:
        """∫ f from a to b inside a cell, by Gauss's rule."""
        x = (a + b) / 2 + (b - a) / 2 * jnp.asarray(NODES, a.dtype)
        return (b - a) / 2 * jnp.sum(jnp.asarray(WEIGHTS, a.dtype) * jax.vmap(self.density)(x))


def tabulate_quantile(
    log_density: LogDensity,
    *,
    lower: float = -math.inf,
    upper: float = math.inf,
    centre: float | None = None,
    scale: float | None = None,
    tolerance: float = 1e-6,
) -> TabulatedQuantile:
    """The quantile function of a density on an interval, which need not be normalised.

    Args:
        log_density: log f(x) up to a constant, of one number; −∞ where f is zero.
        lower: where the support begins, −∞ by default.
        upper: where it ends, ∞ by default.
        centre: where cells are narrowest; by default the middle of the interval, a scale from its finite end, or 0.
        scale: their width there, 16-fold; by default half of the interval, or 1. It should be near the width of f.
        tolerance: of the mass in a cell, relative to all of it; default 1e-6, what float32 can do.

    Returns:
        The function of u ∈ (0, 1), for `InverseTransform`; with log ∫f.

    Raises:
        ValueError: no interval, a scale or tolerance that is not positive, or a density that is NaN or infinite.
        NotNormalisable: ∫f does not converge (the sentence says where), or f is zero everywhere it was looked for.

    References:
        Devroye (1986), chapter II.2, doi:10.1007/978-1-4613-8643-8.

    Examples:
        >>> quantile = tabulate_quantile(lambda x: -((x**2 - 1) ** 2))  # two wells
        >>> kernel = InverseTransform(quantile)
    """
    if not lower < upper or not tolerance > 0 or not (scale is None or scale > 0):
        raise ValueError(
            f"needs lower < upper, scale > 0 and tolerance > 0, got {lower}, {upper}, {scale} and {tolerance}."
        )
    integral = _Integral(log_density)
    edges = _dyadic_edges(lower, upper, *_centre_and_scale(lower, upper, centre, scale))
    cells = np.stack([edges[:-1], edges[1:]], axis=1)
    masses = integral.masses(cells)
    if masses.sum() == 0:
        raise NotNormalisable(
            f"the density is zero wherever it was looked for, in {len(cells)} cells from {edges[0]:.3g} to "
            f"{edges[-1]:.3g}; give centre and scale of where it is not."
        )
    _require_tails(cells, masses, tolerance, (lower, upper))
    cells, masses = _refine(integral, cells, masses, tolerance)
    return _table(log_density, cells, masses, integral.shift)


class _Integral:
    """Masses of cells, relative to e^shift, the largest density that the first call meets: no exponential overflows."""

    def __init__(self, log_density: LogDensity) -> None:
        self.evaluate = eqx.filter_jit(jax.vmap(jax.vmap(log_density)))
        self.shift = -math.inf

    def masses(self, cells: Cells) -> Masses:
        middle, half = cells.mean(1, keepdims=True), (cells[:, 1:] - cells[:, :1]) / 2
        points = middle + half * NODES
        chunks = [_padded(self.evaluate, points[i : i + CHUNK]) for i in range(0, len(points), CHUNK)]
        values = np.concatenate(chunks)
        _require_numbers(points, values)
        highest = float(values.max())
        if self.shift == -math.inf:
            self.shift = highest if highest > -math.inf else 0.0
        if highest > self.shift + HIGHER:
            raise NotNormalisable(
                f"the density has a peak or a pole near {points.flat[values.argmax()]:.6g}, "
                f"e^{highest - self.shift:.0f} times as high as it is in the first cells; give centre and scale of the "
                "peak."
            )
        return half[:, 0] * (np.exp(values - self.shift) @ WEIGHTS)


def _padded(evaluate: Callable[[Array], Array], points: Float[np.ndarray, "cell node"]) -> Float[np.ndarray, "cell 8"]:
    filled = np.resize(points, (CHUNK, points.shape[1]))
    return np.asarray(evaluate(jnp.asarray(filled)), np.float64)[: len(points)]


def _require_numbers(points: np.ndarray, values: np.ndarray) -> None:
    wrong = np.isnan(values) | (values == np.inf)
    if wrong.any():
        raise ValueError(
            f"log_density is {values[wrong][0]} at {points[wrong][0]:.6g}; it must be a number, or −∞ where the "
            "density is zero: give lower and upper, or a form that does not overflow."
        )


def _centre_and_scale(lower: float, upper: float, centre: float | None, scale: float | None) -> tuple[float, float]:
    finite = math.isfinite(lower), math.isfinite(upper)
    scale = scale or ((upper - lower) / 2 if all(finite) else 1.0)
    if centre is not None:
        return centre, scale
    match finite:
        case (True, True):
            return (lower + upper) / 2, scale
        case (True, False):
            return lower + scale, scale
        case (False, True):
            return upper - scale, scale
        case _:
            return 0.0, scale


def _dyadic_edges(lower: float, upper: float, centre: float, scale: float) -> Float[np.ndarray, " edge"]:
    """Cells of equal width within a scale of the centre, and of widths that double from octave to octave beyond."""
    within = np.arange(CELLS_PER_OCTAVE) / CELLS_PER_OCTAVE
    octaves = 2.0 ** np.arange(OCTAVES)[:, None] * (1 + within)
    outwards = scale * np.concatenate([within, octaves.ravel(), [2.0**OCTAVES]])
    edges = centre + np.concatenate([-outwards[:0:-1], outwards])
    inside = edges[(edges > lower) & (edges < upper)]
    return np.concatenate([[lower] if math.isfinite(lower) else [], inside, [upper] if math.isfinite(upper) else []])


def _require_tails(cells: Cells, masses: Masses, tolerance: float, bounds: tuple[float, float]) -> None:
    """What is left beyond the last octave, if masses of octaves go on as in the last two, is below the tolerance."""
    for bound, order, towards in ((bounds[0], 1, "−∞"), (bounds[1], -1, "∞")):
        if math.isfinite(bound):
            continue
        octaves = masses[::order][: 2 * CELLS_PER_OCTAVE].reshape(2, -1).sum(1)
        last, ratio = octaves[0], octaves[0] / octaves[1] if octaves[1] > 0 else np.inf
        left = last * ratio / (1 - ratio) if ratio < 1 else np.inf
        if last > 0 and left > tolerance * masses.sum():
            end = np.abs(cells[::order][0]).max()
            raise NotNormalisable(
                f"the integral of exp(log_density) does not converge towards {towards}: the octave up to |x| = "
                f"{end:.2g} still holds {last / masses.sum():.2g} of all, {ratio:.2g} times the one before; give a "
                "finite bound, or a larger tolerance if the tail is only slow."
            )


def _refine(
    integral: _Integral, cells: Cells, masses: Masses, tolerance: float
) -> tuple[Halves, Float[np.ndarray, " half"]]:
    """Halves cells until both halves together have the mass of the whole, up to the tolerance; in order."""
    finished: list[tuple[np.ndarray, np.ndarray]] = []
    done = 0.0
    for _ in range(MAX_HALVINGS):
        halves = _halved(cells)
        parts = integral.masses(halves)
        right = np.abs(parts.reshape(-1, 2).sum(1) - masses) <= tolerance * (done + parts.sum())
        kept = np.repeat(right, 2)
        finished.append((halves[kept], parts[kept]))
        done += parts[kept].sum()
        cells, masses = halves[~kept], parts[~kept]
        if len(cells) == 0 or len(cells) > MAX_CELLS:
            break
    if len(cells):
        raise NotNormalisable(
            f"the integral of exp(log_density) does not converge near {cells[0].mean():.6g}: halving the cells there "
            f"{MAX_HALVINGS} times, or into {MAX_CELLS}, changes it; the density has a pole or is too rough for the "
            "tolerance."
        )
    cells, masses = (np.concatenate(parts) for parts in zip(*finished, strict=True))
    order = np.argsort(cells[:, 0])
    return cells[order], masses[order]


def _halved(cells: Cells) -> Halves:
    middle = cells.mean(1)
    return np.stack([cells[:, 0], middle, middle, cells[:, 1]], axis=1).reshape(-1, 2)


def _table(log_density: LogDensity, cells: Cells, masses: Masses, shift: float) -> TabulatedQuantile:
    """Cells without mass at both ends are left out: no quantile is there."""
    some = np.flatnonzero(masses > 0)
    cells, masses = cells[some[0] : some[-1] + 1], masses[some[0] : some[-1] + 1]
    cumulative = np.concatenate([[0.0], np.cumsum(masses)])
    edges = np.append(cells[:, 0], cells[-1, 1])
    total = math.log(cumulative[-1]) + shift
    return TabulatedQuantile(
        log_density, jnp.asarray(edges), jnp.asarray(cumulative / cumulative[-1]), jnp.asarray(total)
    )
