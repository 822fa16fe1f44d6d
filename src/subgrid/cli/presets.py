"""The demo's configuration, as overrides of the defaults."""


def demo_tables(*, quick: bool) -> list[str]:
    """KS 8×, sized for six minutes on two cores; `quick` for a minute, far too little to learn much."""
    sizes = {
        "run.name": "ks_demo",
        "data.n_trajectories": 32 if quick else 384,
        "data.n_snapshots": 8 if quick else 64,
        "debias.n_samples": 128 if quick else 4096,
        "debias.epsilon": 1.0 if quick else 0.1,
        "debias.n_quantiles": 50,
        "prior.channels": [32, 64] if quick else [64, 128],
        "prior.n_blocks": 1 if quick else 2,
        "training.n_steps": 40 if quick else 1800,
        "training.batch_size": 32 if quick else 64,
        "training.learning_rate": 2e-3,
        "sampling.n_members": 4 if quick else 16,
        "evaluation.n_conditions": 8 if quick else 32,
        "evaluation.n_unpaired": 16 if quick else 192,
    }
    return [f"{key}={value}" for key, value in sizes.items()]
