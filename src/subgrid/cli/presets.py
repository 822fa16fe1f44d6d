"""The demo's configuration, as overrides of the defaults."""


def demo_tables(*, quick: bool) -> list[str]:
    """KS 8×, sized for four minutes on two cores; `quick` for a minute, far too little to learn much.

    The network is deeper and narrower than the default, which learns more from as many seconds; eight evaluations of
    the probability flow have the spread that so short a training deserves (docs/guide/guidance.md).
    """
    sizes = {
        "run.name": "ks_demo",
        "data.n_trajectories": 32 if quick else 384,
        "data.n_snapshots": 8 if quick else 64,
        "debias.n_samples": 128 if quick else 4096,
        "debias.epsilon": 1.0 if quick else 0.1,
        "debias.n_quantiles": 50,
        "prior.channels": [32, 64] if quick else [48, 96],
        "prior.n_blocks": 1 if quick else 3,
        "training.n_steps": 40 if quick else 1600,
        "training.batch_size": 32 if quick else 64,
        "training.learning_rate": 4e-3,
        "sampling.method": "gaussian-ode",
        "sampling.n_levels": 8,
        "sampling.n_members": 4 if quick else 16,
        "evaluation.n_conditions": 8 if quick else 64,
        "evaluation.n_unpaired": 16 if quick else 192,
    }
    return [f"{key}={value}" for key, value in sizes.items()]
