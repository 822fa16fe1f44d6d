"""Diffusion models in one contract: process, denoiser, objective, samplers, guidance, likelihood."""
