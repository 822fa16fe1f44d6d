"""Grids: cells and their areas, regridding, pooling, whether two grids fit together."""
