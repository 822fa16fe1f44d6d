"""Interpolation between grids: the baselines that add nothing."""
