"""Seconds of a peer's parts, as JSON; benchmarks/transport_step.py runs it with the interpreter of SUBGRID_PEER_PYTHON.

torchcfm's flow-matching step (its own flow matchers, a plain PyTorch perceptron, Adam) and POT's Sinkhorn.
"""

import itertools
import json
import sys
import time

import numpy as np
import ot
import torch  # pyright: ignore[reportMissingImports]
from torchcfm.conditional_flow_matching import (  # pyright: ignore[reportMissingImports]
    ConditionalFlowMatcher,
    ExactOptimalTransportConditionalFlowMatcher,
)


def median_seconds(call, repeats):
    call()
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        durations.append(time.perf_counter() - started)
    return sorted(durations)[repeats // 2]


def perceptron(d, hidden):
    widths = [d + 9, *hidden]
    layers = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.SiLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], d))


def training(matcher, data, hidden, batch, n_steps):
    """n_steps of: draw a batch of either set, let the matcher pair and interpolate it, regress."""
    x0, x1 = (torch.from_numpy(part) for part in data)
    model = perceptron(x0.shape[1], hidden)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    waves = torch.pi * torch.arange(1, 5)

    def run():
        for _ in range(n_steps):
            first = x0[torch.randint(len(x0), (batch,))]
            second = x1[torch.randint(len(x1), (batch,))]
            t, x, target = matcher.sample_location_and_conditional_flow(first, second)
            phase = t[:, None] * waves
            features = torch.cat([x, t[:, None], torch.cos(phase), torch.sin(phase)], 1)
            loss = ((model(features) - target) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return run


def main():
    task = json.loads(sys.argv[1])
    rng = np.random.default_rng(0)
    d, n_steps, batch = task["d"], task["n_steps"], task["batch"]
    data = (rng.normal(size=(10_000, d)).astype(np.float32), rng.normal(size=(10_000, d)).astype(np.float32) + 1)
    seconds = {}
    for name, matcher in [
        ("independent", ConditionalFlowMatcher(0.0)),
        ("exact", ExactOptimalTransportConditionalFlowMatcher(0.0)),
    ]:
        seconds[name] = median_seconds(training(matcher, data, task["hidden"], batch, n_steps), 5) / n_steps
    weights = np.full(batch, 1 / batch)
    a, b = data[0][:batch].astype(np.float64), data[1][:batch].astype(np.float64)

    def couple():
        plan = ot.sinkhorn(weights, weights, ot.dist(a, b), task["epsilon"], stopThr=task["tolerance"])
        p = plan.ravel() / plan.sum()
        rng.choice(batch * batch, p=p, size=batch)

    seconds["sinkhorn"] = median_seconds(couple, 15)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
