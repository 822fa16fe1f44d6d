"""Transforms between values and what is nearly Gaussian."""
