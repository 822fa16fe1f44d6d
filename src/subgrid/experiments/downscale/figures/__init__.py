"""Figures of runs on two archives."""
