"""Small synthetic evidence of a climate run: days that share a mean, on a grid with a masked corner."""

import numpy as np

from subgrid.experiments.climate.figures.evidence import ClimateEvidence
from subgrid.experiments.climate.figures.maps import Frame

COLUMNS = ("raw", "quantile mapping", "bcsd", "analogues", "generated", "floor")
LAT, LON = 36 + np.arange(6.0), -8 + 0.5 * np.arange(8.0)
MASK = np.ones((6, 8), bool)
MASK[:2, :3] = False
FRAME = Frame(LAT, LON, MASK)
DAYS, MEMBERS = 40, 7


def land(values):
    return np.where(MASK, values, np.nan).astype(np.float32)


def make_evidence(variable="tas", **replaced):
    """Days that share a mean, cells that share a signal; precipitation is censored below zero."""
    generator = np.random.default_rng(0)

    def fields(*lead):
        values = generator.normal(size=(*lead, 1, 1)) + 0.5 * generator.normal(size=(*lead, *MASK.shape))
        return land(np.maximum(3 * values, 0) if variable == "pr" else 280 + values)

    reference, truth = fields(DAYS), fields(12)
    content = {
        "variable": variable,
        "quantity": "precipitation" if variable == "pr" else "temperature",
        "units": "mm day-1" if variable == "pr" else "K",
        "lat": LAT,
        "lon": LON,
        "mask": MASK,
        "reference": reference,
        "candidates": {"raw": reference + 1, **{name: fields(30) for name in COLUMNS[1:4]}, "floor": fields(DAYS)},
        "generated": fields(20, MEMBERS),
        "perfect_truth": truth,
        "perfect_ensemble": land(truth[:, None] + 0.2 * generator.normal(size=(12, MEMBERS, *MASK.shape))),
        "dates": [f"2001-01-{day:02d}" for day in range(1, 13)],
        "rank_counts": np.full(MEMBERS + 1, 60),
        "flatness_p": 0.4,
        "effective_samples": 50.0,
        "change": {"input": land(np.full(MASK.shape, 3.0)), "output": land(np.full(MASK.shape, 3.5))},
    }
    return ClimateEvidence(**{**content, **replaced})
