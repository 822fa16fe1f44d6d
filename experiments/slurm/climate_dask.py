"""A climate run on workers that SLURM starts: dask-jobqueue asks for them, `subgrid run` hands them work items.

    sbatch --cpus-per-task=4 --mem=8G --wrap "python experiments/slurm/climate_dask.py CONFIG.toml RUN_FOLDER --jobs 8"

This job prepares and trains first, so that no worker waits for it; then it asks for the workers, samples and scores.
Given again after a failure it does what is still to do. The run folder must be on a disk that all nodes share. Needs
`pip install dask-jobqueue`. `--local` starts the workers as processes of this machine, to try it without SLURM.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

SUBGRID = [os.environ.get("SUBGRID", str(Path(sys.executable).parent / "subgrid"))]


def main() -> int:
    options = _options()
    command = [*SUBGRID, "run", options.config, "--output", options.folder]
    subprocess.run([*command, "--set", "sampling.scheduler=none"], check=True)
    with _cluster(options) as cluster:
        cluster.scale(jobs=options.jobs)
        address = cluster.scheduler_address.removeprefix("tcp://")
        return subprocess.run([*command, "--set", f"sampling.scheduler=dask://{address}"], check=False).returncode


def _cluster(options: argparse.Namespace):
    """One worker a job and one thread a worker: an item at a time, which takes all cores, or the GPU, of its job."""
    if options.local:
        from dask_jobqueue.local import LocalCluster  # pyright: ignore[reportMissingImports]

        return LocalCluster(cores=1, processes=1, memory=options.memory)
    from dask_jobqueue import SLURMCluster  # pyright: ignore[reportMissingImports]

    return SLURMCluster(
        cores=1,
        processes=1,
        job_cpu=options.cpus,
        memory=options.memory,
        walltime=options.walltime,
        interface=options.interface,
        job_extra_directives=options.directive,
        log_directory=f"{options.folder}.logs",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("folder")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--cpus", type=int, default=4, help="of a job")
    parser.add_argument("--memory", default="8GB", help="of a job")
    parser.add_argument("--walltime", default="04:00:00")
    parser.add_argument("--interface", help="network between the nodes, such as ib0")
    parser.add_argument("--directive", action="append", default=[], help="for sbatch, such as --gpus=1; repeatable")
    parser.add_argument("--local", action="store_true", help="workers on this machine, without SLURM")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
