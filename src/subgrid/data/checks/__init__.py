"""Checks of values: what is missing, what cannot be, and where."""
