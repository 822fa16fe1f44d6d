"""How near a training step comes to the machine's matrix-product rate, and what the rest of it is made of.

    .venv/bin/python -m benchmarks.training_step

prints the breakdown, at the default size for fields on a line and on a plane, and at that of Kolmogorov flow. Steps are
those of `fit`, some compiled into one call: a lone gradient call has its memory mapped anew each time, 22,000 page
faults against 1,100 a step. All parts are run once a round and compared by their least time. Other work on the machine
slows large products down more than it does a step, so that it raises the share: only a quiet machine gives figures to
keep.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax

from benchmarks.compiled_traffic import traffic
from benchmarks.timing import interleaved_seconds, large_products
from subgrid.data.batches import draw_batch, random_shifts
from subgrid.diffusion.objective import denoising_loss, karras_weight, log_uniform_levels
from subgrid.downscaling.prior.model import PriorSettings, TrainingSettings, build_denoiser
from subgrid.training.ema import update_average
from subgrid.training.feed import Dispatch
from subgrid.training.fitting import warmup_cosine
from subgrid.training.steps import State, compile_steps, init_state, is_trained

LINE, PLANE = PriorSettings(1, (192,)), PriorSettings(1, (64, 64))
FLOW = replace(PLANE, channels=(32, 64, 128), patch=2)
"""Of `experiments/navier_stokes_64.toml`."""
TRAINING = TrainingSettings()
BATCH = {1: TRAINING.batch_size, 2: 32}
"""By the number of space axes."""
OPTIMISER = warmup_cosine(TRAINING.n_steps)
WANTED = 0.35
N_LARGE = 10  # large products a call: as long as other calls, so that other work slows both down


def loss(denoiser, batch, key):
    """The loss of `train_prior`."""
    return denoising_loss(denoiser, batch, noise_levels=log_uniform_levels(), weight=karras_weight(), key=key)


def draw(samples, key):
    """The batch of `train_prior`, translations included."""
    index_key, shift_key = jr.split(key)
    n_space = samples.ndim - 2
    batch = draw_batch(samples, BATCH[n_space], key=index_key)
    return random_shifts(batch, n_space, key=shift_key)


class Case:
    """A training of one width, and its parts as compiled calls of `n_steps` repetitions each."""

    def __init__(self, settings: PriorSettings, n_steps: int):
        denoiser = build_denoiser(settings, key=jr.key(0))
        self.settings, self.n_steps, self.key = settings, n_steps, jr.key(1)
        self.samples = jr.normal(jr.key(2), (1000, settings.n_channels, *settings.space))
        self.batch = self.samples[: BATCH[len(settings.space)]]
        self.parameters, self.static = eqx.partition(denoiser, is_trained)
        self.state = init_state(denoiser, OPTIMISER)
        self.donated = jax.tree.map(jnp.copy, self.state)  # the state handed to a step is given up
        options = {"ema_decay": TRAINING.ema_decay, "steps_per_dispatch": n_steps}
        self.run = compile_steps(denoiser, loss, draw, OPTIMISER, **options)
        self.products = products(jax.make_jaxpr(jax.value_and_grad(self.objective))(self.parameters, self.key))
        self.operations = sum(product.operations for product in self.products)

    def objective(self, parameters, key):
        return loss(eqx.combine(parameters, self.static), self.batch, key)

    def step(self):
        self.donated, _ = self.run(self.donated, Dispatch(self.samples, None), self.key)
        return self.donated.step

    def repeated(self, part: Callable, carry, *operands) -> Callable[[], object]:
        """carry ← part(key, carry, *operands), as often as there are steps, a key for each."""

        @jax.jit
        def run(carry, operands):
            body = lambda held, i: (part(jr.fold_in(self.key, i), held, *operands), None)  # noqa: E731
            return jax.lax.scan(body, carry, jnp.arange(self.n_steps))[0]

        return lambda: run(carry, operands)

    def gradient(self, key, slopes, parameters):
        return jax.grad(self.objective)(parameters, key)

    def forward(self, key, value, parameters):
        return self.objective(parameters, key)

    def update(self, key, state: State, slopes) -> State:
        updates, optimiser_state = OPTIMISER.update(slopes, state.optimiser, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        average = update_average(state.average, parameters, TRAINING.ema_decay)
        return State(parameters, optimiser_state, average, state.step + 1)

    def random_parts(self, key, held, samples):
        return draw(samples, key), jr.normal(jr.fold_in(key, 1), (self.batch.size,))

    def products_alone(self, key, arrays):
        """Every product of a step, of arrays of its own shapes."""
        for product in self.products:
            out = jax.lax.dot_general(arrays[product.left], arrays[product.right], product.dimensions)
            # One number of each goes into the next operand of that shape, so that none is computed once for several.
            corner = (0,) * len(product.left)
            arrays = {**arrays, product.left: arrays[product.left].at[corner].set(out.ravel()[0])}
        return arrays

    @property
    def level_shape(self) -> tuple[int, ...]:
        """Of the widest field inside the network: a batch of its first level."""
        settings = self.settings
        return (len(self.batch), *(n // settings.patch for n in settings.space), settings.channels[0])

    def calls(self) -> dict[str, Callable[[], object]]:
        """The whole step and its products alone."""
        shapes = {shape for product in self.products for shape in (product.left, product.right)}
        arrays = {shape: jr.normal(jr.key(i), shape) for i, shape in enumerate(sorted(shapes))}
        return {"step": self.step, "its products alone": self.repeated(self.products_alone, arrays)}

    def parts(self) -> dict[str, Callable[[], object]]:
        """Other parts of the step, each by itself."""
        field = jnp.ones(self.level_shape)
        drawn = (self.batch, jnp.zeros(self.batch.size))
        return {
            "forward and backward": self.repeated(self.gradient, self.parameters, self.parameters),
            "forward": self.repeated(self.forward, jnp.zeros(()), self.parameters),
            "optimiser and average": self.repeated(self.update, self.state, self.parameters),
            "batch, translations and noise": self.repeated(self.random_parts, drawn, self.samples),
            "one pass over a field": self.repeated(lambda key, x: x * 1.0001, field),
        }

    def compiled_text(self) -> str:
        """The optimised program of a loop of gradients and updates."""

        def body(state, i):
            slopes = jax.grad(self.objective)(state.parameters, jr.fold_in(self.key, i))
            return self.update(self.key, state, slopes), None

        steps = jax.jit(lambda state: jax.lax.scan(body, state, jnp.arange(self.n_steps)))
        return steps.lower(self.state).compile().as_text() or ""


class Product(NamedTuple):
    """One matrix product: shapes of its operands, JAX's dimension numbers, floating-point operations."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    dimensions: Any
    operations: int


def products(jaxpr: Any) -> list[Product]:
    """All matrix products of a traced function, those of the functions it calls and of its loops included."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            left, right = (operand.aval.shape for operand in equation.invars)
            dimensions = equation.params["dimension_numbers"]
            contracted = math.prod(left[axis] for axis in dimensions[0][0])
            size = 2 * contracted * math.prod(equation.outvars[0].aval.shape)  # a multiply-add is two operations
            found.append(Product(left, right, dimensions, size))
        inner = [part for value in equation.params.values() if hasattr(value, "eqns") for part in products(value)]
        found += inner * equation.params.get("length", 1)
    return found


def run() -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning): the whole step, and its matrix products without anything else."""
    rows = []
    for settings, n_steps in [
        (LINE, 20),
        (replace(LINE, channels=(128, 256)), 5),
        (replace(LINE, channels=(256, 512)), 2),
        (PLANE, 2),
        (FLOW, 2),
    ]:
        case = Case(settings, n_steps)
        large, large_operations = large_products(N_LARGE)
        seconds = interleaved_seconds({"large": large, **case.calls()}, repeats=6)
        ideal = n_steps * case.operations * seconds["large"][0] / large_operations
        wanted = f" (wanted: {WANTED})" if settings in (LINE, PLANE, FLOW) else ""
        share = f"share of the matrix-product rate{wanted}"
        about = f"{'×'.join(map(str, settings.space))} points, channels {settings.channels}"
        rows.append((f"training step, {about}", ideal / seconds["step"][0], share))
        alone = ideal / seconds["its products alone"][0]
        rows.append((f"… its products alone, {about}", alone, "the same share without all else"))
    return rows


def breakdown(settings: PriorSettings, n_steps: int, *, repeats: int = 6) -> None:
    """Prints what a step is made of."""
    case = Case(settings, n_steps)
    large, large_operations = large_products(N_LARGE)
    seconds = interleaved_seconds({"large": large, **case.calls(), **case.parts()}, repeats=repeats)
    rate = large_operations / seconds["large"][0]
    per_step = {name: times[0] / case.n_steps for name, times in seconds.items() if name != "large"}
    one_pass = per_step.pop("one pass over a field")
    bandwidth = 2 * 4 * math.prod(case.level_shape) / one_pass
    of_step = {"step": 1, "its products alone": 1, "forward and backward": 1, "forward": 1 / 3}
    print(f"\n## {'×'.join(map(str, settings.space))} points, channels {settings.channels}, batch {len(case.batch)}\n")
    print(f"{rate / 1e9:.0f} GF/s for large products; {case.operations / 1e9:.2f} GF of products a step\n")
    print("| part | ms | of the step | share of the product rate |\n|---|---|---|---|")
    for name, part in per_step.items():
        share = f"{of_step[name] * case.operations / part / rate:.2f}" if name in of_step else ""
        print(f"| {name} | {1e3 * part:.1f} | {part / per_step['step']:.2f} | {share} |")
    print(f"\nA pass over a field of {settings.channels[0]} channels moves {bandwidth / 1e9:.0f} GB/s.\n")
    print("| kernels | number | MB a step | ms at that rate |\n|---|---|---|---|")
    for kind, (number, size) in traffic(case.compiled_text()).items():
        print(f"| {kind} | {number} | {size / 1e6:.0f} | {1e3 * size / bandwidth:.1f} |")


def main() -> None:
    """The breakdown on a line, on a plane and of Kolmogorov flow."""
    breakdown(LINE, TRAINING.steps_per_dispatch)
    breakdown(PLANE, 2)
    breakdown(FLOW, 4, repeats=5)


if __name__ == "__main__":
    main()
