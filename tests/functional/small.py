"""What tests of function space share: the pair of the specification, and a tiny network of any grid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.functional.gaussian_field import GaussianField

SMOOTH, ROUGH = GaussianField(2.0, 5.0), GaussianField(1.0, 5.0)
"""Data and noise of the specification's fixtures, α = 2 over 1."""


def wave(n, k=1, amplitude=1.0):
    """A cosine of one channel on n points."""
    values = amplitude * np.cos(2 * np.pi * k * np.arange(n) / n)
    return jax.device_put(values[None].astype(jnp.result_type(float)))


def waves(n, ks=range(5)):
    return jnp.stack([wave(n, k) for k in ks])


def amplitudes(v, ks=range(5)):
    """Those of cosines in fields (…, 1, n)."""
    modes = np.fft.rfft(np.asarray(v)[..., 0, :], norm="forward")
    return np.stack([modes[..., k].real * (2 if k else 1) for k in ks], -1)


class Multiplier(eqx.Module):
    """A spectral convolution of a few modes, scaled and shifted by time, and a tanh: one operator on all grids.

    v ↦ W tanh(a(t) K v + b(t)) + W′ K v,      a, b linear in sinusoids of t
    """

    spectral: jax.Array
    film: jax.Array
    last: jax.Array
    n_modes: int = eqx.field(static=True)

    def __init__(self, fan_in, fan_out, *, width=8, n_modes=4, gain=0.5, key):
        keys = jr.split(key, 3)
        self.spectral = gain * jr.normal(keys[0], (2, width, fan_in, n_modes))
        self.film = gain * jr.normal(keys[1], (2, width, 7))
        self.last = gain * jr.normal(keys[2], (fan_out, 2 * width)) / width
        self.n_modes = n_modes

    def __call__(self, x, t):
        n = x.shape[-1]
        modes = jnp.fft.rfft(x, norm="forward")[:, : self.n_modes]
        mixed = jnp.einsum("oim,im->om", jax.lax.complex(*self.spectral), modes)
        wide = jnp.zeros((len(mixed), n // 2 + 1), mixed.dtype).at[:, : self.n_modes].set(mixed)
        h = jnp.fft.irfft(wide, n, norm="forward")
        phases = t * jnp.asarray([1.0, 2.0, 4.0])
        scale, shift = self.film @ jnp.concatenate([jnp.ones(1), jnp.sin(phases), jnp.cos(phases)])
        bent = jnp.tanh((1 + scale[:, None]) * h + shift[:, None])
        return self.last @ jnp.concatenate([bent, h * shift[:, None]])


class Nothing(eqx.Module):
    """A network that has learned nothing."""

    weight: jax.Array = eqx.field(default_factory=lambda: jnp.zeros(()))
    n_channels: int = eqx.field(static=True, default=1)

    def __call__(self, x, t):
        return self.weight * x[: self.n_channels]
