"""A chain of preparations: what stands between the fields of an archive and those that a model works on.

    z = (g_n ∘ … ∘ g₁)(x, φ),    x = (g₁⁻¹ ∘ … ∘ g_n⁻¹)(z, φ)

φ is the phase of the year of each field, None for fields without dates. Every step is kept in the model as kind and
arrays (`downscaling/stored`); nothing is guessed again from the name of a variable.
"""

from typing import Any, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

Found = TypeVar("Found")


@runtime_checkable
class Step(Protocol):
    """One preparation of a series of fields (n, channel, *space), with its way back."""

    def forward(self, x: Any, phase: Any) -> Any: ...

    def inverse(self, z: Any, phase: Any) -> Any: ...


class Chain(eqx.Module):
    """Preparations one after the other.

    Args:
        steps: from the fields of files inwards.

    Examples:
        >>> chain = Chain((Transformed(transforms), Anomaly(climatology), Masked(mask)))
        >>> z = chain.forward(values, phase)
    """

    steps: tuple[Any, ...] = ()

    def forward(
        self, x: Float[np.ndarray, "n channel *space"], phase: Float[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, "n channel *inner"]:
        """What the model works on.

        Args:
            x: (n, channel, *space), fields as archives have them.
            phase: (n,), of the year, in [0, 1); None for fields without dates.

        Returns:
            Fields (n, channel, *inner), float32.
        """
        when = None if phase is None else jnp.asarray(phase, jnp.float32)
        for step in self.steps:
            x = step.forward(x, when)
        return np.asarray(x)

    def inverse(
        self, z: Float[np.ndarray, "n channel *inner"], phase: Float[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, "n channel *space"]:
        """Fields as archives have them.

        Args:
            z: (n, channel, *inner).
            phase: as for `forward`.

        Returns:
            Fields (n, channel, *space), float32.
        """
        when = None if phase is None else jnp.asarray(phase, jnp.float32)
        for step in reversed(self.steps):
            z = step.inverse(z, when)
        return np.asarray(z, np.float32)

    def find(self, kind: type[Found]) -> Found | None:
        """The first step of a kind.

        Args:
            kind: its class.

        Returns:
            The step, None if there is none.
        """
        return next((step for step in self.steps if isinstance(step, kind)), None)
