"""Members of two periods: the change of those that both have, known by construction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.data.canonical import open_climate
from subgrid.downscaling.model import request
from subgrid.downscaling.preparation.pairing import fit_member_climates, paired_samples, pairing_sentence
from subgrid.downscaling.preparation.series import series_of

from ...data.climate_files import archive

LAT, LON = np.arange(36.5, 42.5), np.arange(-8.5, -0.5)
COARSE = np.arange(37.0, 42.5, 2), np.arange(-8.0, -0.5, 2)
OPTIONS = {"debias": "gaussian", "n_components": (4,), "n_steps": 0, "progress": False}
DRAWN = {"change": "none", "progress": False}


def member(offset: float, *, start: str = "2001-01-01", n_times: int = 365, seed: int = 0) -> xr.Dataset:
    """Noise around 280 K plus an offset, the same for one seed."""
    lat, lon = COARSE
    file = archive(n_times=n_times, start=start, lat=lat, lon=lon, seed=seed)
    return file.assign(tas=(file.tas.dims, file.tas.values + np.float32(offset), file.tas.attrs))


def labelled(**members: xr.Dataset) -> xr.Dataset:
    return xr.concat(list(members.values()), "realization").assign_coords(realization=list(members))


HISTORY = labelled(r1=member(0), r2=member(2))
LATER = member(6, start="2081-01-01")  # of r2, 4 K warmer than it was


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    fine = archive(n_times=365, start="2001-01-01", lat=LAT, lon=LON, seed=5)
    folder = tmp_path_factory.mktemp("pairs") / "model"
    return subgrid.fit(fine, HISTORY, ["tas"], folder=folder, key=jax.random.key(0), **OPTIONS)


def change(model, scenario: xr.Dataset) -> float:
    series = series_of(open_climate(scenario), ["tas"])
    signal = model.coarse.change_to(series)
    return float(np.mean(signal.difference(jnp.linspace(0, 0.99, 12))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (labelled(r2=LATER), 4.0),  # not the 5 K from the mean of both
        (labelled(r1=member(4, start="2081-01-01"), r2=LATER), 4.0),
        (labelled(r2=LATER, r3=member(20, start="2081-01-01")), 4.0),  # whatever r3 is
        (labelled(r7=LATER), 5.0),  # no common label: all with all, and said
        (LATER, 5.0),
    ],
)
def test_the_change_is_that_of_members_in_both_periods(model, scenario, expected):
    # The same noise in both periods, of 365 days each: exact but for the penalty on curvature.
    assert change(model, scenario) == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_a_change_is_kept_and_what_it_is_of_is_said(model, monkeypatch):
    monkeypatch.setattr(request, "FEWEST_YEARS", 1)  # this archive has the same noise in every year, and no weather
    scenario = labelled(r2=LATER)
    before = subgrid.downscale(HISTORY, model, n_members=2, key=jax.random.key(1), **DRAWN)
    preserved = DRAWN | {"change": "preserve"}
    after = subgrid.downscale(scenario, model, n_members=2, key=jax.random.key(2), **preserved)
    # 2 × 365 × 2 draws a side: the mean of anomalies is matched by the debiasing, and the rest is noise.
    assert float(after.tas.mean() - before.tas.mean()) == pytest.approx(4.0, abs=0.1)
    assert "of the member r2 in both periods; r1 of the history has no partner" in after.attrs["history"]
    assert before.coarse_realization.values.tolist() == ["r1", "r1", "r2", "r2"]


@pytest.mark.parametrize(
    ("history", "later", "said"),
    [
        (None, None, None),
        (("r1",), ("r1",), None),
        (("r1", "r2"), ("r2", "r1"), None),
        (
            ("r1", "r2"),
            ("r2",),
            "of the member r2 in both periods; r1 of the history has no partner",
        ),
        (
            ("r1",),
            ("r1", "r10"),
            "of the member r1 in both periods; r10 of the scenario has no partner",
        ),
        (
            ("r1",),
            ("r2",),
            "all members of the history (r1) and all of the scenario (r2), as no label is common",
        ),
        (("r1",), None, "(r1) and all of the scenario (without labels)"),
    ],
)
def test_what_is_said_of_pairs(history, later, said):
    found = pairing_sentence(history, later)
    assert found is None if said is None else said in str(found)


def test_climates_of_members_together_are_those_of_their_mean():
    series = series_of(open_climate(HISTORY), ["tas"])
    climates = fit_member_climates(series, n_harmonics=1)
    assert climates is not None and climates.labels == ("r1", "r2")
    apart = [np.asarray(climates.of([label]).mean_coefficients) for label in climates.labels]
    np.testing.assert_allclose(apart[1][0] - apart[0][0], 2.0, atol=1e-3)
    np.testing.assert_allclose(climates.of(["r1", "r2"]).mean_coefficients, np.mean(apart, 0), rtol=1e-5, atol=1e-5)


def test_samples_of_pairs():
    one = series_of(open_climate(HISTORY), ["tas"])
    two = series_of(open_climate(labelled(r2=LATER, r3=LATER)), ["tas"])
    before, after = paired_samples(one, two)
    np.testing.assert_array_equal(before, one.member == 1)
    np.testing.assert_array_equal(after, two.member == 0)
    before, after = paired_samples(one, series_of(open_climate(LATER), ["tas"]))
    assert before.all() and after.all()


@pytest.mark.slow
def test_members_of_unequal_lengths_train_and_downscale(tmp_path):
    """Times that one member lacks are no samples: they are not filled with anything, and come out without value."""
    for label, n in (("r1i1p1", 365), ("r2i1p1", 200)):
        member(0, n_times=n, seed=n).to_netcdf(tmp_path / f"tas_{label}.nc")
    coarse = open_climate(tmp_path)
    assert len(series_of(coarse, ["tas"]).time) == 565
    fine = archive(n_times=365, start="2001-01-01", lat=LAT, lon=LON, seed=5)
    model = subgrid.fit(fine, coarse, ["tas"], folder=tmp_path / "model", key=jax.random.key(0), **OPTIONS)
    found = subgrid.downscale(coarse, model, n_members=1, key=jax.random.key(1), **DRAWN).tas
    assert found[0].notnull().all() and found[1, :200].notnull().all() and found[1, 200:].isnull().all()
