"""Array aliases and the contracts that the rest of Subgrid is written against.

A *field* is one sample, ``Float[Array, "channel *space"]``; batches are made by the caller with `jax.vmap`.
Randomness is a required keyword ``key``, used once.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Array, Float, PRNGKeyArray, Scalar

Key: TypeAlias = PRNGKeyArray
Field: TypeAlias = Float[Array, "channel *space"]
Sample: TypeAlias = Float[Array, "*shape"]
"""One sample of any shape, where formulas know nothing of channels."""
Spatial: TypeAlias = tuple[int, ...]
ProgressReport: TypeAlias = Callable[[int, int], None]
"""Called with how much is done and how much there is to do."""
NotedReport: TypeAlias = Callable[[int, int, str], None]
"""As `ProgressReport`, with a note on what is being done."""


@runtime_checkable
class Denoiser(Protocol):
    """Posterior mean E[x₀ | x₀ + σε = x], in unscaled variables (``x_t / s(t)``)."""

    def __call__(self, x: Float[Array, "*shape"], sigma: Scalar, /) -> Float[Array, "*shape"]: ...


@runtime_checkable
class Score(Protocol):
    """∇ₓ log p_σ(x), the score of the data blurred with Gaussian noise of standard deviation σ."""

    def __call__(self, x: Float[Array, "*shape"], sigma: Scalar, /) -> Float[Array, "*shape"]: ...


@runtime_checkable
class Velocity(Protocol):
    """dx/dt at (x, t), t ∈ [0, 1] from source to target; `context` is whatever the two ends are conditioned on."""

    def __call__(self, x: Float[Array, "*shape"], t: Scalar, context: Any = None, /) -> Float[Array, "*shape"]: ...


@runtime_checkable
class Coarsening(Protocol):
    """A known linear map C′ from fine to coarse fields, applied to the trailing space axes."""

    fine_shape: Spatial
    coarse_shape: Spatial

    def __call__(self, x: Float[Array, "*fine"]) -> Float[Array, "*coarse"]: ...

    def adjoint(self, y: Float[Array, "*coarse"]) -> Float[Array, "*fine"]: ...

    def pseudo_inverse(self, y: Float[Array, "*coarse"], ridge: float | Scalar = 0.0) -> Float[Array, "*fine"]: ...


@runtime_checkable
class Debiaser(Protocol):
    """A transport T of one biased coarse field, ``Float[Array, "*coarse"]``, made by a ``fit_…`` function."""

    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]: ...


@runtime_checkable
class Upsampler(Protocol):
    """One draw of a fine field given one debiased coarse field."""

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]: ...


PyTree: TypeAlias = Any
