"""Strategies that draw archives of all kinds at once: a truth, and ways to write it that mean the same.

What does not mean the same is left out here: stamps at the end of an interval without bounds, amounts without a time
step, a fill value inside the range of the values.
"""

from typing import Any

from hypothesis import strategies as st

from .truths import KINDS, REGIONS, Truth
from .written import CONTAINERS, FILLS, Writing

CALENDARS = ("standard", "noleap", "360_day", "all_leap")
LABELS = (None, None, None, ("r2i1p1f1", "r10i1p1f1"), (0, 1, 2), (2, 10))
MEMBER_DIMS = ("member", "number", "realization", "ensemble", "ens", "member_id")
PLACES = (("lat", "lon"), ("latitude", "longitude"), ("LAT", "LON"), ("nav_lat", "nav_lon"))


@st.composite
def truths(draw: Any) -> Truth:
    """Canonical contents of small archives: days over a turn of the year or a 29 February, months, or three days."""
    step = draw(st.sampled_from(["day", "day", "day", "month"]))
    return Truth(
        quantity=draw(st.sampled_from(list(KINDS))),
        region=draw(st.sampled_from(list(REGIONS))),
        rotated=draw(st.sampled_from([False, False, False, True])),
        step=step,
        n_times=draw(st.sampled_from([40, 3] if step == "day" else [14])),
        start=(2000, draw(st.sampled_from([12, 2])), 1 if step == "month" else 10),
        calendar=draw(st.sampled_from(CALENDARS)),
        labels=draw(st.sampled_from(LABELS)),
        masked=draw(st.sampled_from([0, 4, 11])),
        seed=draw(st.integers(0, 99)),
    )


@st.composite
def writings(draw: Any, truth: Truth) -> Writing:
    """Ways to write a truth that mean what it says.

    Args:
        draw: of hypothesis.
        truth: what is written.
    """
    container = draw(st.sampled_from(CONTAINERS))
    axis = draw(st.sampled_from(_axes(truth, container)))
    stamp = draw(st.sampled_from(["start", "middle", "end"] if axis.endswith(" since") else ["start", "middle"]))
    stamp = "start" if axis in ("numbers",) or (axis == "months since" and stamp == "end") else stamp
    counted = axis.endswith("s since") and axis != "months since"
    bounds = counted and (stamp == "end" or draw(st.booleans()))
    members = draw(st.sampled_from(_ways(truth, container)))
    parts = (
        1 if members in ("names", "attribute", "scalar") else draw(st.sampled_from([1, 1, 1, 2 + (truth.n_times == 3)]))
    )
    alone = parts == truth.n_times
    asked = truth.quantity == "radiation" and truth.step == "month"  # sums of a month, or of a day as in ERA5: refused
    without_amounts = asked or (alone and not bounds)
    n_units = len(truth.kind.spellings) + (0 if without_amounts else len(truth.kind.amounts))
    flat = not truth.rotated and draw(st.sampled_from([False, False, True]))
    fill = draw(st.sampled_from(FILLS))
    return Writing(
        units=draw(st.integers(0, n_units - 1)),
        name=draw(st.integers(0, len(truth.kind.names) - 1)),
        named=draw(st.booleans()),
        axis=axis,
        reference=draw(st.integers(0, 3)),
        stamp=stamp,
        bounds=bounds,
        fill=fill,
        value=draw(st.sampled_from([-9999.0, 1e20, -32_768.0, 9.96921e36])) if "valid" not in fill else -9999.0,
        dims=draw(st.sampled_from(["tyx", "yxt", "xyt"])),
        north_first=draw(st.booleans()),
        turn=draw(st.booleans()),
        flat=flat,
        places=draw(st.sampled_from(PLACES)),
        members=members,
        member_dim=draw(st.sampled_from(MEMBER_DIMS)),
        shuffle=draw(st.booleans()),
        parts=parts,
        container=container,
        extra=draw(st.sampled_from(["", "height", "other variable", "single precision"])),
    )


@st.composite
def archives(draw: Any) -> tuple[Truth, Writing, Writing]:
    """One truth and two ways to write it."""
    truth = draw(truths())
    return truth, draw(writings(truth)), draw(writings(truth))


def _axes(truth: Truth, container: str) -> list[str]:
    """Ways to write times."""
    found = ["days since", "hours since", "seconds since", "minutes since", "absolute", "numbers"]
    found += ["months since"] if truth.step == "month" else []
    return found + (["texts"] if truth.calendar == "standard" and container != "zarr 3" else [])


def _ways(truth: Truth, container: str) -> list[str]:
    """Ways to write members."""
    if truth.labels is None:
        return ["dimension"]
    if isinstance(truth.labels[0], str):
        in_names = [] if container == "dataset" else ["names"]
        return ["dimension", "bytes", "auxiliary", "attribute", "scalar", *in_names]
    return ["dimension", "scalar"]
