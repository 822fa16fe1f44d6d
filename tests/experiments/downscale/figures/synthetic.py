"""Small synthetic evidence: fields of a few waves, and ensembles that are calibrated by construction."""

import numpy as np

from subgrid.experiments.downscale.figures.evidence import Evidence

FACTOR, MEMBERS, CASES = 4, 7, 6


def waves(generator, n, space):
    """Smooth homogeneous fields: a handful of random plane waves."""
    grid = np.meshgrid(*(2 * np.pi * np.arange(size) / size for size in space), indexing="ij")
    fields = np.zeros((n, 1, *space))
    for _ in range(6):
        k = generator.integers(1, 4, (n, len(space)))
        phase = sum(np.multiply.outer(k[:, axis], x) for axis, x in enumerate(grid))
        shift = generator.uniform(0, 2 * np.pi, n).reshape(-1, *[1] * len(space))
        fields[:, 0] += np.cos(phase + shift)
    return fields.astype(np.float32)


def synthetic(space, seed=0, **replaced):
    generator = np.random.default_rng(seed)
    strides = tuple(slice(None, None, FACTOR) for _ in space)

    def coarsen(x):
        return x[(..., *strides)]

    reference, independent, test = (waves(generator, n, space) for n in (64, 64, CASES))
    noise = waves(generator, CASES * MEMBERS, space).reshape(CASES, MEMBERS, 1, *space)
    # Truth and members deviate from a common centre in the same way, so that every rank is as likely.
    ensemble = test[:, None] + 0.3 * noise
    truth = test + 0.3 * waves(generator, CASES, space)
    ranks = np.bincount(np.sum(ensemble < truth[:, None], axis=1).ravel(), minlength=MEMBERS + 1)
    steps = np.arange(1.0, 301.0)
    content = {
        "variable": "u",
        "units": "m/s",
        "fine_reference": reference,
        "fine_independent": independent,
        "generated": ensemble,
        "cubic": 0.8 * test,
        "coarse_reference": coarsen(reference),
        "coarse_independent": coarsen(independent),
        "raw": 1.5 * coarsen(reference[:32]),
        "debiased": coarsen(reference[:32]),
        "perfect_truth": truth,
        "perfect_ensemble": ensemble,
        "perfect_target": coarsen(truth),
        "rank_counts": ranks,
        "loss_curve": np.stack([steps, 1 / steps]),
    }
    return Evidence(**{**content, **replaced})
