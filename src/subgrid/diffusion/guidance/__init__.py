"""Guidance: each function takes a denoiser of p(x) and returns a denoiser of p(x | what was observed)."""
