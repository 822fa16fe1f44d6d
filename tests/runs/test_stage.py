"""The order of stages, and what they depend on."""

import pytest

from subgrid.runs.stage import Stage, all_but, in_order, inherited, values_of

from .letters import Letters, configured, stages


def stage(name, *needs, **options) -> Stage:
    return Stage(name, lambda run, update: None, (f"{name}.txt",), needs, **options)


def names(found):
    return [each.name for each in found]


def test_each_comes_after_those_it_needs_and_else_as_it_is_written():
    written = [stage("page", "scores"), stage("b"), stage("scores", "a", "b"), stage("a"), stage("c")]
    assert names(in_order(written)) == ["a", "b", "scores", "page", "c"]
    assert names(in_order(written, until=["scores"])) == ["a", "b", "scores"]
    assert names(in_order(written, until=["c", "b"])) == ["c", "b"]
    assert names(in_order(written, until=[])) == []


def test_a_need_that_is_no_stage_is_named_with_the_stage_that_has_it():
    with pytest.raises(ValueError, match="stage 'page' needs 'scores', which is no stage"):
        in_order([stage("page", "scores")])
    with pytest.raises(ValueError, match="needs 'page', which is no stage"):
        in_order([stage("a")], until=["page"])


def test_needs_in_a_circle_are_shown_as_one():
    with pytest.raises(ValueError, match="in a circle: a -> b -> c -> a"):
        in_order([stage("a", "b"), stage("b", "c"), stage("c", "a")])
    with pytest.raises(ValueError, match="in a circle: a -> a"):
        in_order([stage("a", "a")])


def test_two_stages_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"two stages have one name: \['a', 'b', 'a'\]"):
        in_order([stage("a"), stage("b"), stage("a")])


def test_dependencies_are_inherited_through_all_needs():
    found = stages(configured())
    score = next(each for each in found if each.name == "score")
    chain = inherited(score, found)
    assert names(chain) == ["write", "copy", "score"]
    values = values_of(configured("run.seed=3"), (each.depends_on for each in chain))
    assert values == {"letters.word": "alpha", "letters.half": "first", "run.seed": 3}


def test_no_keys_are_the_whole_table():
    values = values_of(configured(), [{"letters": ()}])
    assert set(values) == {f"letters.{key}" for key in Letters.model_fields}


def test_all_but_some_keys():
    assert "n" not in all_but(Letters, "n") and {*all_but(Letters, "n"), "n"} == {*Letters.model_fields}
    with pytest.raises(KeyError, match=r"Letters has no keys \['m'\]"):
        all_but(Letters, "m")
