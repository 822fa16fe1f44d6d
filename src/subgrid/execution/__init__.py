"""Sampling at any size: pure work items, the Zarr store they fill, and the runners that share them out."""
