"""All random streams of every kind of run: no two uses share a key, and draws of two periods share no noise."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import jax
import jax.random as jr
import numpy as np
import pytest

from subgrid.downscaling.debiasing.fit import DebiasMethod
from subgrid.execution.ensembles import STREAM
from subgrid.execution.work_items import sample_keys
from subgrid.experiments import KINDS
from subgrid.experiments.climate.config import ClimateConfig, ClimateSamplingTable, ClimateTable
from subgrid.experiments.climate.run import ClimateRun
from subgrid.experiments.climate.sampling import noise_of
from subgrid.experiments.function_space.config import Candidate
from subgrid.experiments.moist_turbulence import methods
from subgrid.experiments.moist_turbulence.config import METHODS
from subgrid.experiments.navier_stokes.config import ComparisonTable, DebiaserName, MethodName, NavierStokesConfig
from subgrid.experiments.navier_stokes.methods import models_of, upsamplers_of
from subgrid.experiments.toy_2d.cells import all_cells
from subgrid.numerics.streams import draw_keys, stream, substream
from subgrid.runs.config import validate
from subgrid.runs.run import Run
from subgrid.simulate import toy_2d

TIMES, MEMBERS = np.arange(21), np.arange(17)
ENSEMBLES = ("historical", "perfect model", "scenario")
VARIABLES = ("tas", "pr")


def words(*keys) -> list[tuple[int, ...]]:
    """Key data, one for every key."""
    return [tuple(each) for key in keys for each in np.asarray(jr.key_data(key)).reshape(-1, 2).tolist()]


def with_children(key) -> list[tuple[int, ...]]:
    """A key, and what the first splits and steps of its user make of it (a split is a fold_in of its number)."""
    return words(key, jr.split(key, 20))


def run_of(kind: str, seed: int) -> Run:
    """With the defaults, and the example of what has to be given."""
    experiment = KINDS[kind].load()
    required = any(field.is_required() for field in experiment.config.model_fields.values())
    given = experiment.example if required else {}
    config = validate(experiment.config, {**given, "run": {"seed": seed}}, origin="example")
    return experiment.recipe().run(config, Path("nowhere"))


def uses_of(run: Run) -> dict[str, list[tuple[str, ...]]]:
    """What each stream of a run is used of, where it is not used by itself: methods, models, variables, repetitions."""
    match run.root:
        case "run":
            return {"debias": [(method,) for method in get_args(DebiasMethod)]}
        case "climate":
            return {name: [(variable,) for variable in VARIABLES] for name in ("ranks", "return level", "change")}
        case "turbulence":
            return {"fits": [(name,) for name in methods.NAMES], "downscale": [(method,) for method in METHODS]}
        case "toy":
            return uses_in_the_2d_table(run)
        case "gaussian bridge":
            return {"dimension": [(str(d),) for d in (2, 5, 20, 50)]}
        case "gallery":
            assert {*run.streams} <= {*toy_2d.NAMES}
            return {}
        case "sampler errors":
            return {}
        case "navier_stokes":
            return uses_on_kolmogorov_flow(run)
        case "functions":
            return {name: [(f"repetition {i}",) for i in range(3)] for name in get_args(Candidate)}
        case other:
            raise NotImplementedError(
                f'say in uses_of, in tests/experiments/test_streams.py, what the streams of "{other}" are used of; '
                "`return {}` where they are used by themselves"
            )


def uses_on_kolmogorov_flow(run: Run) -> dict[str, list[tuple[str, ...]]]:
    """Debiasers and models by factor; ensembles of all methods share their noise on purpose, to be compared by it."""
    factors = [f"{factor}x" for factor in run.config.navier_stokes.factors]
    debiasers = [*get_args(DebiaserName), "noising", "floor"]
    models = [name.words for name in models_of(with_all_methods(run.config))]
    upsamplers = upsamplers_of(with_all_methods(run.config))
    scans = [(scheme, str(n)) for scheme in run.config.calibration.schemes for n in (16, 32, 64)]
    return {
        "debias": [(name, factor) for name in debiasers for factor in factors],
        "model": [(name,) for name in models],
        "ranks": [(name, factor) for name in upsamplers for factor in factors],
        "calibration": scans,
    }


def with_all_methods(config: NavierStokesConfig) -> NavierStokesConfig:
    return config.model_copy(update={"comparison": ComparisonTable(methods=get_args(MethodName))})


def uses_in_the_2d_table(run: Run) -> dict[str, list[tuple[str, ...]]]:
    """Method and repetition of every cell, by task; and that the run asks for no other."""
    cells, uses = all_cells(run.config), {}
    assert {cell.task for cell in cells} == {*run.streams} and {cell.seed for cell in cells} == {*range(5)}
    for cell in cells:
        of = cell.method, f"repetition {cell.seed}"
        assert words(run.cell_key(cell)) == words(run.key(cell.task, *of))
        uses.setdefault(cell.task, []).append(of)
    return uses


def keys_made_from(run: Run) -> list[tuple[int, ...]]:
    """What users of a stream make of its key beside splits: keys of draws, and named streams of a part."""
    if run.root == "run":
        return keys_of_a_run(run)
    if run.root == "climate":
        return keys_of_a_climate_run(run)
    # The unit of the points of the 2-D table is the same for all seeds.
    return with_children(stream(0, "toy", "scale")) if run.root == "toy" and run.config.run.seed == 0 else []


def keys_of_a_run(run: Run) -> list[tuple[int, ...]]:
    found = []
    for method in get_args(DebiasMethod):
        key = run.key("debias", method)
        found += with_children(substream(key, "samples")) + with_children(substream(key, "transport"))
    for name in ("network", "batches", "training", "left by the mean"):
        found += with_children(substream(run.key("prior"), name))
    for name in ("ensemble", "perfect model"):
        condition, member = (each.ravel() for each in np.meshgrid(TIMES, MEMBERS))  # as `sample_ensemble` says
        firsts = jax.vmap(jr.fold_in, (None, 0))(run.key(name), condition)
        found += words(jax.vmap(jr.fold_in)(firsts, member))
    return found


def keys_of_a_climate_run(run: Run) -> list[tuple[int, ...]]:
    training = run.key("training")
    prior, calibration = substream(training, "prior"), substream(training, "spread calibration")
    left_out = substream(prior, "left-out draws")
    found = words(prior, calibration, draw_keys(calibration, TIMES, np.arange(4)))
    found += words(left_out, draw_keys(left_out, TIMES, np.arange(4)))
    for name in ("network", "training", "left-out error"):
        found += with_children(substream(prior, name))
    for name in ENSEMBLES:
        draws = sample_keys(run.config.run.seed, run.stream_name(name), TIMES, MEMBERS)
        found += words(substream(run.key(name), "draws"), draws)
        found += words(jax.vmap(lambda key: jr.split(key, 2))(draws.reshape(-1)))
    return found


def all_keys(seed: int) -> list[tuple[int, ...]]:
    found = []
    for kind in KINDS:
        run = run_of(kind, seed)
        uses = uses_of(run)
        assert {*uses} <= {*run.streams}
        for name in run.streams:
            for of in uses.get(name, [()]):
                found += with_children(run.key(name, *of))
        found += keys_made_from(run)
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_uses_in_any_experiment_share_a_key(seed):
    found = all_keys(seed)
    found += with_children(jr.key(seed))  # what a user may do with the seed
    # Names of fewer keys would hide a collision of many: a small climate run alone has three ensembles of 357 draws.
    assert len(found) > 3 * 21 * 17 * 3
    doubled = len(found) - len(set(found))
    assert not doubled


def test_every_kind_of_run_has_a_root_of_its_own():
    roots = [kind.load().recipe().run.root for kind in KINDS.values()]
    assert len({*roots}) == len(roots) == len(KINDS)
    for kind in KINDS.values():
        streams = kind.load().recipe().run.streams
        assert len({*streams}) == len(streams)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_stream_is_refused(kind):
    run = run_of(kind, 0)
    with pytest.raises(ValueError, match="has no random stream 'weather'; add it to its streams"):
        run.key("weather")
    with pytest.raises(ValueError, match="has no random stream 'weather'"):
        type(run).stream_name("weather", "tas")
    for name in run.streams[:1]:  # an experiment may have none
        np.testing.assert_array_equal(jr.key_data(run.key(name, "of")), jr.key_data(stream(0, run.root, name, "of")))


ASKED = re.compile(r"""\b(?:key|stream_name)\(\s*"([^"]+)\"""")
"""run.key("training"), run.stream_name("historical")"""
BY_VARIABLE = re.compile(r"\.(?:key|stream_name)\(\s*[a-z]")
"""run.key(which)"""


def sources_of(kind: str) -> Iterator[str]:
    folder = Path(importlib.import_module(KINDS[kind].module).__file__).parent
    for path in sorted(folder.rglob("*.py")):
        yield path.read_text(encoding="utf-8")


def text_outside_the_declaration(source: str) -> set[str]:
    """Strings of a module, those of `streams = (...)` in a class left out."""
    tree = ast.parse(source)
    declared = [
        node
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef)
        for node in each.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["streams"]
    ]
    left_out = {id(inner) for node in declared for inner in ast.walk(node)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in left_out]
    return {node.value for node in constants if isinstance(node.value, str)}


@pytest.mark.parametrize("kind", KINDS)
def test_streams_that_are_asked_for_are_declared_and_declared_ones_are_asked_for(kind):
    sources, streams = list(sources_of(kind)), {*KINDS[kind].load().recipe().run.streams}
    asked = {name for source in sources for name in ASKED.findall(source)}
    assert asked <= streams
    unasked = streams - asked
    if unasked:  # by a variable, whose value is written down somewhere
        assert any(BY_VARIABLE.search(source) for source in sources), unasked
        assert unasked <= {text for source in sources for text in text_outside_the_declaration(source)}


def test_a_prior_and_its_draws_from_one_key_of_the_user_are_apart():
    """`fit` and `downscale` with the same key, as an example may have it."""
    key = jr.key(0)
    training = [substream(substream(key, "prior"), name) for name in ("network", "training", "left-out error")]
    uses = (substream(key, name) for name in (STREAM, "spread calibration"))
    draws = words(*(draw_keys(use, TIMES, MEMBERS) for use in uses))
    assert not {*draws} & {word for each in training for word in with_children(each)}
    assert len({*draws}) == len(draws)


def climate_run(tmp_path, *, common_noise: bool) -> ClimateRun:
    table = ClimateTable(fine="fine.nc", coarse="coarse.nc", scenario="later.nc", variables=("tas",))
    return ClimateRun(ClimateConfig(climate=table, sampling=ClimateSamplingTable(common_noise=common_noise)), tmp_path)


def noise(run: ClimateRun, store: str) -> np.ndarray:
    """The first numbers of every draw, (time, member, 8)."""
    names, _ = noise_of(run, store)
    keys = sample_keys(run.config.run.seed, names, TIMES, MEMBERS).reshape(-1)
    drawn = jax.vmap(lambda key: jr.normal(key, (8,)))(keys)
    return np.asarray(drawn).reshape(len(TIMES), len(MEMBERS), 8)


def test_noise_of_two_periods_is_independent_by_default_and_shared_by_choice(tmp_path):
    run = climate_run(tmp_path, common_noise=False)
    stores = [noise(run, f"{name}.zarr") for name in ("ensemble", "scenario", "perfect_model")]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        r = np.corrcoef(stores[i].ravel(), stores[j].ravel())[0, 1]
        assert abs(r) < 4 / np.sqrt(stores[i].size)
    # The spread over members of a mean over times of a difference is √(2/times) for independent normals; from 17
    # members and 8 numbers it is known to 1/√(2·16·8) = 6 %.
    spread = (stores[1] - stores[0]).mean(0).std(0, ddof=1).mean()
    assert spread == pytest.approx(np.sqrt(2 / len(TIMES)), rel=0.25)
    run = climate_run(tmp_path, common_noise=True)
    np.testing.assert_array_equal(noise(run, "ensemble.zarr"), noise(run, "scenario.zarr"))
    np.testing.assert_array_equal(noise(run, "ensemble.zarr"), stores[0])
    np.testing.assert_array_equal(noise(run, "perfect_model.zarr"), stores[2])


def test_without_a_scenario_there_is_nothing_to_share(tmp_path):
    run = climate_run(tmp_path, common_noise=True)
    run.config = run.config.model_copy(update={"climate": run.config.climate.model_copy(update={"scenario": None})})
    assert noise_of(run, "ensemble.zarr")[1].startswith("independent")
