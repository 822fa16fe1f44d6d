#!/bin/bash
# A climate run as three SLURM jobs: prepare and train once, sample in an array of slices, score once.
#
#   experiments/slurm/climate_array.sh CONFIG.toml RUN_FOLDER [N_SLICES]
#
# submits all three (N_SLICES is 8 by default; SBATCH_OPTIONS="--partition=gpu --time=4:00:00" is handed to every job).
# Every job may be killed and given again: it does what is still to do. The run folder must be on a disk that all nodes
# share. To try it on one machine without SLURM: see docs/guide/cluster.md.
#SBATCH --job-name=subgrid
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --requeue
set -euo pipefail

config=$1 folder=$2 n_slices=${3:-8} stage=${4:-submit}
subgrid=${SUBGRID:-subgrid}
# The cores that SLURM gives; without SLURM, all. The scheduler is the only key that differs between the jobs.
sample() { "$subgrid" run "$config" --output "$folder" --set "sampling.scheduler=$1"; }

case $stage in
  prepare) sample none ;;                                               # debias, train, and sample nothing
  slice) sample "slice:${SLURM_ARRAY_TASK_ID:?}/$n_slices" ;;           # task i of 0 … n - 1
  score) sample serial ;;                                               # what a failed slice left, scores, report
  submit)
    self=$(realpath "${BASH_SOURCE[0]}")
    options=(--parsable ${SBATCH_OPTIONS:-})
    mkdir -p "$folder.logs"
    logs=(--output "$folder.logs/%x_%j_%a.txt")
    prepare=$(sbatch "${options[@]}" "${logs[@]}" "$self" "$config" "$folder" "$n_slices" prepare)
    slices=$(sbatch "${options[@]}" "${logs[@]}" --array "0-$((n_slices - 1))" --dependency "afterok:${prepare%%;*}" \
      "$self" "$config" "$folder" "$n_slices" slice)
    sbatch "${options[@]}" "${logs[@]}" --dependency "afterany:${slices%%;*}" \
      "$self" "$config" "$folder" "$n_slices" score
    ;;
  *) echo "$0: unknown stage $stage; use prepare, slice, score or submit." >&2; exit 2 ;;
esac
