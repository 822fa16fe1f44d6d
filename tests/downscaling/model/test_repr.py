"""A model in words, short enough for a terminal, and as HTML that is well formed."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from subgrid.downscaling.model.model import Model, prior_in_words
from subgrid.downscaling.refined.network_gain import NetworkGain

from .gaussian_models import network_model, refined_model

LONG = Path("/scratch/projects/climate-of-the-iberian-peninsula/experiments/2031/second-attempt/runs/all-variables")


def with_names(model: Model, n: int) -> Model:
    names = tuple(f"a_rather_long_name_of_variable_{i}" for i in range(n))
    return replace(
        model,
        coarse=replace(model.coarse, reading=replace(model.coarse.reading, names=names, units=("kg m-2 s-1",) * n)),
    )


def test_it_says_what_the_model_is(dated_model):
    said = repr(dated_model)
    for fact in (
        "subgrid.Model",
        "tas [K], pr [mm day-1]",
        "12 x 14 cells, 162 with values",
        "4 x 5 cells, 19 in the constraint",
        "quantile-mapping, strength 1",
    ):
        assert fact in said
    assert "bounds → transform → anomaly → mask" in said and "SparseCoarsening" in said
    assert "not refined by a network" in said and "array" not in said


@pytest.mark.parametrize("change", ["as it is", "twenty variables", "a long path"])
def test_it_fits_a_terminal(dated_model, change):
    model = {
        "as it is": dated_model,
        "twenty variables": with_names(dated_model, 20),
        "a long path": replace(dated_model, folder=LONG / "of-a-model-that-was-fitted-again"),
    }[change]
    lines = repr(model).splitlines()
    assert len(lines) <= 15 and max(map(len, lines)) <= 100, repr(model)
    if change == "twenty variables":
        assert "a_rather_long_name_of_variable_0 [kg m-2 s-1]" in lines[1] and lines[1].endswith(" and 19 more")
    if change == "a long path":
        assert lines[-1].endswith("/of-a-model-that-was-fitted-again")


def test_its_html_is_well_formed_whatever_the_names(dated_model):
    odd = replace(dated_model, folder=Path("runs/<b>&'\"tas\"'"))
    table = ElementTree.fromstring(odd._repr_html_())
    rows = {row[0].text: row[1].text for row in table.iter("tr")}
    assert rows == odd.facts()
    assert table.tag == "table" and table.find("caption").text == "subgrid.Model"


def test_it_says_why_a_network_is_used_or_not(dated_model):
    assert dated_model.facts()["network"] == "none was trained"
    gain = NetworkGain(0.5, 0.49, 0.01, 100, 50.0)
    weighed = replace(dated_model, prior=replace(dated_model.prior, gain=gain))
    assert weighed.facts()["network"] == "not used; CRPS of left-out fields 0.4900, without 0.5000"
    assert "0.4900, without 0.5000" in repr(weighed)


def test_priors_in_words():
    assert prior_in_words(refined_model().prior).endswith("components, not refined by a network")
    assert prior_in_words(refined_model(network=True).prior).endswith("components, refined by a network")
    # 18 means, 17 components of 18, their variances, the remainder and 18 numbers of the support.
    assert prior_in_words(network_model().prior) == "network of 360 parameters, guided"
