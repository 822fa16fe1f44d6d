"""Kolmogorov flow by other means than the library's: NumPy, double precision, the scheme of Carpenter & Kennedy (1994).

Low-storage Runge–Kutta for the nonlinear part, Crank–Nicolson within each stage for ν∇² − μ, as published for the fine
archive. Second order overall. Fields are indexed [y, x].
"""

import numpy as np

ALPHA = (0, 0.1496590219993, 0.3704009573644, 0.6222557631345, 0.9582821306748, 1)
BETA = (0, -0.4178904745, -1.192151694643, -1.697784692471, -1.514183444257)
GAMMA = (0.1496590219993, 0.3792103129999, 0.8229550293869, 0.6994504559488, 0.1530572479681)


def carpenter_kennedy(flow, vorticity, n_steps):
    """ω after n_steps of flow.time_step."""
    n, dt = flow.n_points, flow.time_step
    kx, ky = np.arange(n // 2 + 1), np.fft.fftfreq(n, 1 / n)[:, None]
    square = kx**2 + ky**2
    kept = (3 * kx < n) & (3 * abs(ky) < n)
    linear = -flow.viscosity * square - flow.drag
    grid = lambda modes: np.fft.irfft2(modes, s=(n, n), norm="forward")  # noqa: E731

    def nonlinear(w):
        psi = w / np.maximum(square, 1)  # ∇²ψ = −ω, u = ∂ψ/∂y, v = −∂ψ/∂x
        advected = grid(1j * ky * psi) * grid(1j * kx * w) - grid(1j * kx * psi) * grid(1j * ky * w)
        rate = -np.fft.rfft2(advected, norm="forward") * kept
        rate[[flow.wavenumber, -flow.wavenumber], 0] -= flow.amplitude * flow.wavenumber / 2
        return rate

    w, h = np.fft.rfft2(vorticity, norm="forward") * kept, 0.0
    for _ in range(n_steps):
        for k in range(5):
            h = nonlinear(w) + BETA[k] * h
            m = dt * (ALPHA[k + 1] - ALPHA[k]) / 2
            w = (w + GAMMA[k] * dt * h + m * linear * w) / (1 - m * linear)
    return grid(w)


def axes(n):
    """(x, y) in [0, 2π)², fields indexed [y, x]."""
    return np.meshgrid(*[2 * np.pi * np.arange(n) / n] * 2)


def three_waves(n):
    """The start of the reference values: ω₀ = 2 cos 2x cos 2y + sin(x + 2y) + ½ cos(3x − y)."""
    x, y = axes(n)
    return 2 * np.cos(2 * x) * np.cos(2 * y) + np.sin(x + 2 * y) + 0.5 * np.cos(3 * x - y)


def invariants(vorticity):
    """Energy ½⟨u²⟩ and enstrophy ½⟨ω²⟩, by Parseval."""
    n = vorticity.shape[-1]
    k = np.fft.fftfreq(n, 1 / n)
    square = k**2 + k[:, None] ** 2
    power = np.abs(np.fft.fft2(vorticity, norm="forward")) ** 2
    return (power / np.maximum(square, 1)).sum() / 2, power.sum() / 2
