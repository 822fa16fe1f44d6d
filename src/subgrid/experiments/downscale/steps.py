"""The single steps on the user's own files: train, downscale, verify."""

import json
from pathlib import Path

from subgrid.data.fields import DataError, hold_out, open_field, samples_of
from subgrid.data.grids.alignment import check_aligned
from subgrid.data.store import OutputExists, check_free, output_kind, write_dataset, write_json, write_text
from subgrid.data.stream import StreamedFields
from subgrid.downscaling.conditional.model import is_conditional
from subgrid.downscaling.debiasing.fit import apply_debiaser
from subgrid.downscaling.ensemble_datasets import ensemble_coordinates, ensemble_dataset
from subgrid.downscaling.evaluation import compare
from subgrid.downscaling.prior.model import is_trained
from subgrid.downscaling.prior.training import Fields
from subgrid.downscaling.upsampling.particles import sample_with_diagnostics
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.checks import check_network
from subgrid.experiments.downscale.config import DownscaleConfig
from subgrid.experiments.downscale.fitting import fit_debiaser, train_on
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.experiments.downscale.scoring import COLUMNS
from subgrid.runs.config import ConfigError, read_tables
from subgrid.runs.experiment import check_own_folder
from subgrid.runs.score_table import ScoreTable
from subgrid.training.distributed import is_first_process, join_from_text
from subgrid.training.progress import progress as shown
from subgrid.types import Coarsening

LARGEST_SHARE = 0.25
"""Of memory, that fine fields may take and be read at once: training holds them twice more, as read and normalised."""


def train(
    config: DownscaleConfig,
    fine: Path,
    output: Path,
    variable: str | None,
    *,
    stream: bool | None = None,
    join: str | None = None,
    progress: bool = True,
) -> None:
    """A prior from one archive of fine fields.

    `stream`, from disk batch by batch; by default where the archive would take more than `LARGEST_SHARE` of memory.
    `join`, the processes to train together with (`join_from_text`).

    **Raises:** `ConfigError` for a bridge; `OutputExists`; `DataError`.
    """
    if config.downscaling.method == "bridge":
        raise ConfigError(
            'downscaling.method = "bridge": `subgrid run` fits a bridge, to both archives; `train` makes a prior from '
            'the fine one, so set it to "diffusion".'
        )
    if join is not None:
        join_from_text(join)
    if is_trained(output) or is_conditional(output):
        raise OutputExists(f"{output}: holds a trained model already; choose another output.")
    check_own_folder(output)
    stored = output / "config.toml"
    if stored.exists() and stored.read_text(encoding="utf-8") != config.as_toml():
        raise OutputExists(f"{output}: holds a model in training with another configuration; choose another output.")
    fields = _training_fields(fine, variable or config.data.variable, stream)
    if fields.shape[0] < 2:
        raise DataError(f"{fine}: holds {fields.shape[0]} sample; training needs at least 2.")
    check_network(config, fields.shape)
    operator, jitter = _own_operator(config, fields.shape[2:], fine), _own_jitter(config)
    if is_first_process():
        write_text(stored, config.as_toml())
    with shown("train", enabled=progress) as update:
        key = DownscaleRun(config, output).key("prior")
        train_on(config, fields, output, operator=operator, jitter=jitter, update=update, key=key)


def _own_jitter(config: DownscaleConfig) -> float:
    """The configured jitter, as far as fine fields alone tell. **Raises:** `ConfigError` for that of the debiaser."""
    jitter = config.downscaling.jitter
    if jitter != "debiaser":
        return jitter
    if config.downscaling.method == "diffusion":
        return 0.0
    raise ConfigError(
        'downscaling.jitter = "debiaser": `train` sees no coarse archive, so nothing is debiased; give a number, or '
        "use `subgrid run`."
    )


def _own_operator(config: DownscaleConfig, space: tuple[int, ...], fine: Path) -> Coarsening | None:
    """The configured C′, from fine fields alone; a prior needs none."""
    if config.downscaling.method == "diffusion":
        return None
    factor = config.coarsening.factor
    return build.operator_of(config.coarsening, space, tuple(n // factor for n in space), source=str(fine))


def _training_fields(path: Path, variable: str | None, stream: bool | None) -> Fields:
    """All values, or where they are to be read from. **Raises:** `DataError`, as `open_field` and `samples_of`."""
    field = open_field(path, variable)
    if stream or (stream is None and 4 * field.size > LARGEST_SHARE * _memory()):
        return StreamedFields(path, str(field.name))
    return samples_of(field, source=str(path)).values


def _memory() -> int:
    """Bytes that this process may use: of the machine, or of the job, container or limit that it runs under."""
    from distributed.system import MEMORY_LIMIT

    return MEMORY_LIMIT


def settings_of(model: Path) -> Path | None:
    """The configuration that `train` or `run` left with a model, C′ among it; none beside one trained from Python."""
    model = model.resolve()
    kept = [model / "config.toml", *([model.parent / "config.toml"] if model.name == "model" else [])]
    found = next((path for path in kept if path.exists()), None)
    if found is not None and (other := set(read_tables(found)) - set(DownscaleConfig.model_fields)):
        raise DataError(
            f"{model}: is the model of another kind of run, with the table [{sorted(other)[0]}]; `subgrid run` on its "
            "configuration downscales with it."
        )
    return found


def downscale(
    config: DownscaleConfig,
    coarse: Path,
    model: Path,
    output: Path,
    reference: Path | None,
    variable: str | None,
    overwrite: bool,
    *,
    progress: bool = True,
) -> None:
    """An ensemble of fine fields for every coarse field, dimensions and coordinates of the input kept.

    `output` that ends in .nc is a NetCDF file, any other a Zarr store.
    """
    inputs = [coarse, *([reference] if reference is not None else [])]
    check_free(output, overwrite=overwrite, kind=output_kind(output), inputs=inputs)
    space = build.fine_space(model)
    variable = variable or config.data.variable
    field = open_field(coarse, variable)
    samples = samples_of(field, source=str(coarse))
    operator = build.operator_of(config.coarsening, space, samples.values.shape[2:], source=samples.source)
    ensemble_coordinates(field, operator)  # complains before anything is computed
    upsampler = build.open_upsampler(config, model, operator)
    targets, summary, key = samples.values, {}, DownscaleRun(config, output).key
    if reference is not None:
        fine = samples_of(open_field(reference, variable), source=str(reference))
        check_aligned(samples, fine, operator)
        with shown("fit debiaser", enabled=progress) as update:
            debias_key = key("debias", config.debias.method)
            debiaser, summary = fit_debiaser(config, samples, fine, operator, update=update, key=debias_key)
        targets = apply_debiaser(debiaser, targets)
    with shown("downscale", enabled=progress) as update:
        ensemble, diagnostics = sample_with_diagnostics(
            upsampler,
            targets,
            config.sampling.n_members,
            chunk=config.sampling.chunk,
            report=update,
            key=key("ensemble"),
        )
    attributes = {"config": config.as_toml(), "model": str(model), "debias_summary": json.dumps(summary)}
    dataset = ensemble_dataset(field, ensemble, targets, operator, diagnostics=diagnostics)
    write_dataset(dataset.assign_attrs(attributes, Conventions="CF-1.11"), output, overwrite=overwrite)


def verify(ensemble: Path, reference: Path, output: Path, variable: str | None, overwrite: bool) -> ScoreTable:
    """Distributional scores of an ensemble; the floor is one half of the reference against the other."""
    check_free(output, overwrite=overwrite, kind="file", inputs=[ensemble, reference])
    generated = samples_of(open_field(ensemble, "ensemble"), source=str(ensemble))
    fine = samples_of(open_field(reference, variable), source=str(reference))
    if generated.values.shape[1:] != fine.values.shape[1:]:
        raise DataError(
            f"{ensemble} holds fields of {generated.values.shape[2:]} points, {reference} of {fine.values.shape[2:]}; "
            "score against the fine grid that the model was trained on."
        )
    first, second = hold_out(fine, (0.5, 0.5))
    rows = compare("Fine grid", first.values, {"generated": generated.values}, second.values, fine.n_space)
    table = ScoreTable([row.as_dict() for row in rows], COLUMNS)
    write_json(output, {**table.as_dict(), "ensemble": str(ensemble), "reference": str(reference)})
    return table
