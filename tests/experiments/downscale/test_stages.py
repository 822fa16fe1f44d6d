"""What the stages of a run depend on: which parts stay when its configuration or its files change."""

import shutil
from dataclasses import replace
from typing import get_args

import pytest

from subgrid.data.store import OutputExists
from subgrid.experiments.downscale.config import DownscaleConfig, DownscalingTable
from subgrid.experiments.downscale.stages import RECIPE
from subgrid.runs.experiment import keep_config
from subgrid.runs.record import write_record
from subgrid.runs.stage import in_order

from .opening import configured, files, finished, opened, planned

MADE = [
    (stage.name, part)
    for stage in RECIPE.stages(DownscaleConfig())
    if stage.if_changed == "refuse"
    for part in (*stage.parts, *stage.state)
]


def left_by(folder, settings, *names, part=None, done=True):
    """Parts of the stages, or one of them, and their records, as if they had been made; all of them empty."""
    keep_config(opened(folder, settings))
    for name in names:
        each = planned(folder, settings, until=[name])[name]
        for path in each.stage.parts if part is None else [part]:
            (folder / path).mkdir()
        write_record(folder, replace(each.record, finished=done))


def actions(folder, settings=(), until=None):
    return {name: each.action for name, each in planned(folder, settings, until).items()}


def test_stages_are_in_order_and_no_two_make_the_same_part():
    stages = RECIPE.stages(DownscaleConfig())
    assert in_order(stages) == stages
    parts = [part for stage in stages for part in (*stage.parts, *stage.state)]
    assert len(set(parts)) == len(parts)


def test_all_that_a_stage_depends_on_exists():
    tables = [{"method": method} for method in get_args(DownscalingTable.model_fields["method"].annotation)]
    for table in [*tables, {"jitter": "debiaser"}]:
        config = DownscaleConfig.model_validate({"downscaling": table})
        for stage in RECIPE.stages(config):
            for reads in (stage.depends_on, stage.grows_with):
                for name, keys in reads.items():
                    assert set(keys) <= config.model_dump()[name].keys()


def test_later_stages_may_change_while_earlier_parts_stay(tmp_path):
    left_by(tmp_path, (), "simulate fine", "simulate coarse", "debias", "train")
    changed = ["sampling.n_levels=64", "run.name=again"]
    kept = dict.fromkeys(("simulate fine", "simulate coarse", "debias", "train"), "keep")
    assert actions(tmp_path, changed, until=["downscale"]) == {**kept, "downscale": "make"}
    left_by(tmp_path, changed, "downscale")
    before = (tmp_path / "config.toml").read_text(encoding="utf-8")
    with pytest.raises(OutputExists, match=r"ensemble.zarr was made with sampling.n_levels = 64, not 8; remove"):
        finished(tmp_path, ["sampling.n_levels=8"])
    # What is refused leaves the configuration of what is there.
    assert (tmp_path / "config.toml").read_text(encoding="utf-8") == before == configured(changed).as_toml()


@pytest.mark.parametrize(("stage", "part"), MADE)
def test_every_part_depends_on_the_seed(stage, part, tmp_path):
    left_by(tmp_path, (), stage, part=part, done=False)
    with pytest.raises(OutputExists, match=f"{part} was made with run.seed = 0, not 1; remove {part} to make it anew"):
        planned(tmp_path, ["run.seed=1"], until=[stage])


@pytest.mark.parametrize("stage", dict(MADE))
def test_where_the_first_part_of_what_was_finished_is_removed_the_rest_is_made_anew_with_it(stage, tmp_path):
    each = planned(tmp_path, until=[stage])[stage].stage
    left_by(tmp_path, (), stage)
    with pytest.raises(OutputExists, match=f"{each.parts[0]} was made with run.seed = 0, not 1"):
        planned(tmp_path, ["run.seed=1"], until=[stage])
    (tmp_path / each.parts[0]).rmdir()
    assert actions(tmp_path, ["run.seed=1"], until=[stage])[stage] == ("remake" if each.parts else "make")


def test_scores_and_page_are_made_anew_for_another_seed(tmp_path):
    for name in ("score", "report"):
        left_by(tmp_path, (), name)
    for settings, action in (((), "keep"), (["run.seed=1"], "remake")):  # the stages before them are not there
        assert actions(tmp_path, settings)["train"] == "make"
        assert {actions(tmp_path, settings)[name] for name in ("score", "report")} == {action}


def test_a_prior_knows_nothing_of_the_coarse_grid_and_a_bridge_is_fitted_to_it(tmp_path):
    others = ["coarsening.factor=4", "downscaling.sigma=0.5"]
    for method in ("diffusion", "bridge"):
        left_by(tmp_path / method, [f"downscaling.method={method}"], "train")
    changed = ["downscaling.method=diffusion", "training.tensorboard=true", *others]
    assert actions(tmp_path / "diffusion", changed, until=["train"])["train"] == "keep"
    for other in others:
        with pytest.raises(OutputExists, match=f"model was made with {other.split('=')[0]} = "):
            planned(tmp_path / "bridge", ["downscaling.method=bridge", other], until=["train"])


def test_a_conditional_model_is_of_one_coarsening_and_of_its_debiaser_where_the_jitter_is(tmp_path):
    given, measured = ["downscaling.jitter=0.1"], ["downscaling.jitter=debiaser"]
    for name, jitter in {"given": given, "measured": measured}.items():
        left_by(tmp_path / name, jitter, "train")
    debiased_so = ["debias.method=gaussian", *given]
    assert actions(tmp_path / "given", debiased_so, until=["train"])["train"] == "keep"
    for other in ("coarsening.factor=4", "downscaling.jitter=0.2", "downscaling.method=conditional-flow"):
        with pytest.raises(OutputExists, match=f"model was made with {other.split('=')[0]} = "):
            planned(tmp_path / "given", [*given, other], until=["train"])
    with pytest.raises(OutputExists, match=r"model was made with debias\.method = "):
        planned(tmp_path / "measured", [*measured, "debias.method=gaussian"], until=["train"])


def test_the_contents_of_archives_count_and_not_their_paths(archives, tmp_path):
    first, moved = shutil.copytree(archives, tmp_path / "first"), tmp_path / "moved"
    left_by(tmp_path / "run", files(first), "debias", "train")
    shutil.copytree(first, moved)
    assert actions(tmp_path / "run", files(moved), until=["train"])["train"] == "keep"
    with (first / "fine.nc").open("ab") as file:
        file.write(b"more")
    changed = r"debiased.zarr was made from .*first/fine.nc as it was before, which has changed since"
    with pytest.raises(OutputExists, match=changed):
        planned(tmp_path / "run", files(first))


def test_a_prior_does_not_depend_on_the_coarse_archive(archives, tmp_path):
    copy = shutil.copytree(archives, tmp_path / "archives")
    settings = [*files(copy), "downscaling.method=diffusion"]
    left_by(tmp_path / "run", settings, "train")
    with (copy / "coarse.nc").open("ab") as file:
        file.write(b"more")
    assert actions(tmp_path / "run", settings, until=["train"]) == {"train": "keep"}


@pytest.mark.parametrize(
    ("stage", "more"),
    [
        ("compare debiasers", 'comparison.debiasers=["gaussian"]'),
        ("compare samplers", "comparison.evaluations=[2]"),
    ],
)
def test_a_comparison_goes_on_where_more_is_compared(stage, more, tmp_path):
    left_by(tmp_path, (), stage)
    assert actions(tmp_path, until=[stage])[stage] == "keep"
    assert actions(tmp_path, [more], until=[stage])[stage] == "go on"
