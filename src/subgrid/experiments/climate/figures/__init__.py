"""Figures of climate runs."""
