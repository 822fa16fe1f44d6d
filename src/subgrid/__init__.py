"""Subgrid: probabilistic downscaling of climate and CFD fields from unpaired archives."""

__version__ = "0.1.0"
