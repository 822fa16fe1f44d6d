"""Pure mathematics, nothing learned: coarsening operators and Fourier tools."""
