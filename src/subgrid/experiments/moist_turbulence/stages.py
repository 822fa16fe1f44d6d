"""The stages of a run on moist turbulence: two archives, a model each, a method each, scores, page."""

from functools import partial

from subgrid.experiments.moist_turbulence import methods
from subgrid.experiments.moist_turbulence.archives import simulate_coarse, simulate_fine, write_fields
from subgrid.experiments.moist_turbulence.config import TurbulenceConfig, TurbulenceMethod
from subgrid.experiments.moist_turbulence.page import page
from subgrid.experiments.moist_turbulence.run import TurbulenceRun
from subgrid.experiments.moist_turbulence.scoring import score
from subgrid.runs.experiment import Recipe
from subgrid.runs.page import METRICS, report_stage
from subgrid.runs.stage import Dependencies, Stage, Update

SIMULATED: Dependencies = {"run": ("seed",), "turbulence": ()}
BUILT: Dependencies = {"normalisation": (), "network": ()}
FITTED: dict[str, Dependencies] = {
    "denoiser": {**BUILT, "training": (), "diffusion": ()},
    "flow": {**BUILT, "training": ()},
    "bridge": {
        **BUILT,
        "training": ("batch_size", "ema_decay"),
        "bridge": (),
        "evaluation": ("n_sampling_steps",),  # its pairs are simulated with as many
    },
}
ARCHIVES = ("simulate coarse", "simulate fine")


def stages(config: TurbulenceConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    simulated = [
        Stage("simulate coarse", _simulate_coarse, ("coarse.zarr",), depends_on=SIMULATED),
        Stage("simulate fine", _simulate_fine, ("fine.zarr",), depends_on=SIMULATED),
    ]
    fitted = [_fit_stage(name, config) for name in methods.models_of(config)]
    downscaled = [_downscale_stage(method) for method in config.evaluation.methods]
    scored = Stage(
        "score",
        score,
        (METRICS,),
        needs=tuple(stage.name for stage in downscaled),
        depends_on={"evaluation": ("methods",)},
        if_changed="remake",
    )
    return [*simulated, *fitted, *downscaled, scored, report_stage(page, config, needs=("score",))]


def _fit_stage(name: str, config: TurbulenceConfig) -> Stage:
    kind = methods.KINDS[name]
    steps = config.bridge.n_steps * config.bridge.n_iterations if kind == "bridge" else config.training.n_steps
    return Stage(
        f"fit {name}",
        partial(_fit, name),
        (f"models/{name}",),
        needs=ARCHIVES,
        depends_on=FITTED[kind],
        work=steps * config.training.batch_size * config.turbulence.n_fine**2,
    )


def _downscale_stage(method: TurbulenceMethod) -> Stage:
    needs = tuple(f"fit {name}" for name in methods.MODELS[method])
    sampling = {"evaluation": ("n_sampling_steps", "n_cases")}
    part = f"downscaled/{method}.zarr"
    return Stage(f"downscale with {method}", partial(_downscale, method), (part,), needs=needs, depends_on=sampling)


def _simulate_coarse(run: TurbulenceRun, update: Update) -> None:
    simulate_coarse(run.config.turbulence, run.path("coarse.zarr"), report=update, key=run.key("coarse"))


def _simulate_fine(run: TurbulenceRun, update: Update) -> None:
    simulate_fine(run.config.turbulence, run.path("fine.zarr"), report=update, key=run.key("fine"))


def _fit(name: str, run: TurbulenceRun, update: Update) -> None:
    folder = run.path("models") / name
    methods.fit_model(name, run.config, run.archives, folder, report=update, key=run.key("fits", name))


def _downscale(method: TurbulenceMethod, run: TurbulenceRun, update: Update) -> None:
    coarse, context = run.cases.coarse, run.cases.context
    key, models = run.key("downscale", method), run.path("models")
    fields = methods.downscale(method, run.config, run.archives, models, coarse.values, context, report=update, key=key)
    write_fields(run.archives.restore(fields), coarse.wavenumbers, run.downscaled(method))


RECIPE = Recipe(TurbulenceRun, stages, page)
