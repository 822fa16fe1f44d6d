"""The ensembles of a climate run, work item by work item, by whatever scheduler."""

from typing import Any

import numpy as np
import xarray as xr

from subgrid.downscaling.model.blocks import time_blocks
from subgrid.downscaling.model.folder import checkpoint_id, load_preparation
from subgrid.downscaling.model.sampler import sample_targets
from subgrid.execution import runners
from subgrid.execution.sampling import loader_of
from subgrid.execution.store import open_store
from subgrid.execution.template import Template, create_store
from subgrid.experiments.climate.config import PATHS, PREPARE_ONLY, ClimateConfig
from subgrid.experiments.climate.run import ClimateRun
from subgrid.runs.config import ConfigError
from subgrid.runs.runner import Unfinished
from subgrid.runs.stage import Update

NOT_SAMPLED: Any = {"run": {"name"}, "climate": set(PATHS), "comparison": True, "sampling": {"scheduler"}}
"""What an ensemble does not depend on: of archives their contents count, and not their paths."""
SCENARIO_FINE = "scenario.fine.zarr"
"""The fine side of a run that puts the change of the scenario back."""


def products(config: ClimateConfig) -> dict[str, str]:
    """The stores that a run makes, by the targets they are conditioned on."""
    made = {"targets": "ensemble.zarr", "perfect_targets": "perfect_model.zarr"}
    if config.climate.training == "all":
        made.pop("perfect_targets")
    return made | ({"scenario_targets": "scenario.zarr"} if config.climate.scenario else {})


def sample(run: ClimateRun, update: Update) -> None:
    """All ensembles; resumes from the items that are done.

    Raises:
        Unfinished: if nothing is to be sampled, or other slices have items to do.
    """
    if run.config.sampling.scheduler == PREPARE_ONLY:
        raise Unfinished(f"prepared and trained {run.folder}; sample with another sampling.scheduler.")
    run.n_drawn = sum(_sample_store(run, *each, update) for each in products(run.config).items())
    if missing := pending(run):
        left = ", ".join(f"{n} work items of {name}" for name, n in missing.items())
        raise Unfinished(f"{left} are still to do; `subgrid run` scores {run.folder} when all slices are done.")


def is_slice(config: ClimateConfig) -> bool:
    """Whether this process makes only a part of each ensemble."""
    scheduler = config.sampling.scheduler
    return scheduler != PREPARE_ONLY and isinstance(runners.parse_scheduler(scheduler), runners.Slice)


def left_to_others(run: ClimateRun) -> str | None:
    """What a slice says that came too late: the one that completed the ensembles scores them."""
    if not is_slice(run.config) or run.n_drawn:
        return None
    return f"this slice had nothing to do, and leaves {run.folder} to the task that completed it."


def is_whole(run: ClimateRun) -> bool:
    """Whether no item was found damaged since, by `subgrid status --repair`."""
    return not pending(run)


def refuse_slice(run: ClimateRun) -> None:
    """The jobs of an array would all prepare and train at once.

    Raises:
        ConfigError: for a slice.
    """
    if is_slice(run.config):
        raise ConfigError(
            f"{run.folder}: is not trained yet, and slices only sample; first run it with "
            f"--set sampling.scheduler={PREPARE_ONLY}, then the slices."
        )


def pending(run: ClimateRun) -> dict[str, int]:
    """How many items are still to do, by store: those of other slices.

    Asked when all stores have been gone through: other tasks may complete the first while this one does the last.
    """
    left = {output: len(open_store(run.path(output)).pending()) for output in products(run.config).values()}
    return {output: n for output, n in left.items() if n}


def _sample_store(run: ClimateRun, targets: str, output: str, update: Update) -> int:
    """One ensemble: the store is made or found, and what is pending of it is done; returns how many items were."""
    store = _make_store(run, targets, output)
    loader = loader_of(
        sample_targets,
        folder=str(run.folder.resolve()),
        targets=f"{targets}.zarr",
        fine=SCENARIO_FINE if targets == "scenario_targets" else None,
        sampling={"n_levels": run.config.sampling.n_levels},
    )
    name = output.removesuffix(".zarr").replace("_", " ")
    show = lambda done, total, *_: update(done, total, name)  # noqa: E731
    return runners.run(store, loader, runners.parse_scheduler(run.config.sampling.scheduler), progress=show)


def noise_of(run: ClimateRun, output: str) -> tuple[tuple[str, ...], str]:
    """The random stream of a store, and what a reader of the store must know of its noise."""
    streams = {
        "ensemble.zarr": "historical",
        "perfect_model.zarr": "perfect model",
        "scenario.zarr": "scenario",
    }
    shared = ("ensemble.zarr", "scenario.zarr")
    if run.config.sampling.common_noise and run.config.climate.scenario and output in shared:
        other = shared[output == shared[0]]
        relation = (
            f"shared with {other}: member m has the same noise at the n-th time of both, so that the spread of their "
            "difference over members is not its uncertainty"
        )
        return run.stream_name("historical"), relation
    return run.stream_name(streams[output]), "independent of the other ensembles of this run"


def _make_store(run: ClimateRun, targets: str, output: str):
    """The store as its template says; nothing but the run folder is read."""
    with xr.open_zarr(run.path(f"{targets}.zarr"), chunks=None) as source:
        time, member, given = source.time.variable, source.member_of_model.values, source.attrs
        labels = source.member_label.values if "member_label" in source else member
    grid, n_members = load_preparation(run.folder)[1].grid, run.config.sampling.n_members
    variables = {name: dict(grid[name].attrs) for name in run.config.climate.names}
    coordinates = grid.drop_vars(list(variables)).assign_coords(time=("time", time.values, time.attrs))
    if member.any():
        coordinates = coordinates.assign_coords(coarse_realization=("time", labels))
    space = tuple(grid.attrs["space"])
    n_values = len(variables) * int(np.prod([grid.sizes[dim] for dim in space]))
    item, chunk = time_blocks(len(member), n_members, n_values)
    stream, noise = noise_of(run, output)
    template = Template(
        coordinates.assign_attrs(given),
        variables,
        space=space,
        n_members=n_members,
        chunks={"time": chunk, "realization": n_members},
        shards={"time": item, "realization": n_members},
        attributes={"title": f"Subgrid {run.config.run.name}: {output}", "noise": noise},
    )
    return create_store(
        run.path(output),
        template,
        seed=run.config.run.seed,
        stream=stream,
        configuration=run.config.model_dump(exclude=NOT_SAMPLED, mode="json"),
        checkpoint=checkpoint_id(run.folder),
        bit_rounding=run.config.sampling.bit_rounding,
    )
