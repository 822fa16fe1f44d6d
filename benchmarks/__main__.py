"""`python -m benchmarks`: every benchmark, as one Markdown table. Nothing else should run meanwhile."""

from benchmarks import (
    langevin_chains,
    opening_archives,
    sampler_overhead,
    sampling_at_scale,
    staggered_solver,
    training_step,
    transport_step,
)


def main() -> None:
    print("| benchmark | ratio | meaning |\n|---|---|---|")
    for module in (
        sampler_overhead,
        training_step,
        transport_step,
        langevin_chains,
        staggered_solver,
        sampling_at_scale,
        opening_archives,
    ):
        for name, ratio, meaning in module.run():
            print(f"| {name} | {ratio:.2f} | {meaning} |", flush=True)


if __name__ == "__main__":
    main()
