"""Spread calibration and post-processing of draws, from years that were left out."""
