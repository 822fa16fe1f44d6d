"""What figures are drawn from: fields that are not finite, places of coarse points, arrays that do not fit."""

import numpy as np
import pytest

from subgrid.experiments.downscale.figures.evidence import warnings_of
from subgrid.experiments.downscale.figures.sections import sections


@pytest.mark.slow
def test_fields_that_are_not_finite_are_counted_and_left_out(make_evidence):
    full = make_evidence((32,))
    generated = full.generated.copy()
    generated[0, 1, 0, 3] = np.nan
    spoilt = make_evidence((32,), generated=generated)
    assert spoilt.not_finite() == {"generated": 1}
    assert len(spoilt.fine_comparison().candidates["generated"]) == generated.shape[0] * generated.shape[1] - 1
    assert len(sections(spoilt)) == 4
    assert warnings_of(spoilt) == ["1 field of the set “generated” held a NaN or an infinity; figures leave it out."]
    assert warnings_of(full) == []


def test_coarse_points_are_placed_as_the_data_say(make_evidence):
    full = make_evidence((32,))
    assert full.coarse_offset == (0.0,)
    means = full.fine_reference.reshape(64, 1, 8, 4).mean(axis=-1)
    assert make_evidence((32,), coarse_reference=means).coarse_offset == (1.5,)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("cubic", (6, 1, 31), "cubic must end in the axes of fine_reference"),
        ("debiased", (5, 1, 8), "raw and debiased must match"),
    ],
)
def test_arrays_that_do_not_fit_are_named(make_evidence, name, shape, message):
    with pytest.raises(ValueError, match=message):
        make_evidence((32,), **{name: np.zeros(shape, np.float32)})
