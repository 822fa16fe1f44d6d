"""Markov chain Monte Carlo kernels that need nothing but a score."""
