"""What figures of a climate run are drawn from: values that are missing, arrays that do not fit."""

from dataclasses import replace

import numpy as np
import pytest

from .synthetic import LAT, MEMBERS, make_evidence


def test_members_without_values_are_counted_and_left_out():
    full = make_evidence()
    short = full.generated.copy()
    short[:, -1, 3, 4] = np.nan
    spoilt = replace(full, generated=short)
    assert spoilt.not_finite() == {"generated": 20}
    assert len(spoilt.sets["generated"]) == 20 * (MEMBERS - 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"generated": np.zeros((3, 2, 6, 7), np.float32)}, "generated must end in the axes of the mask"),
        ({"lat": LAT[:-1]}, "lat and lon must be 1-D or 2-D on the grid"),
        ({"mask": np.zeros((6, 8), bool)}, "the mask of tas leaves no cell"),
        ({"reference": np.full((5, 6, 8), np.nan, np.float32)}, "reference of tas needs at least 2 fields"),
        ({"dates": ["2001-01-01"]}, "perfect_ensemble holds 12 cases"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        make_evidence(**changed)
