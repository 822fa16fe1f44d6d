#!/bin/bash
# A climate run as three SLURM jobs: prepare and train once, sample in an array of slices, score once.
#
#   experiments/slurm/climate_array.sh CONFIG.toml RUN_FOLDER [N_SLICES]
#
# submits all three (8 slices by default); SBATCH_OPTIONS="--partition=gpu --gpus=1" is handed to every job. Given again
# after a failure, it does what is still to do. The run folder must be on a disk that all nodes see under the same path.
# docs/guide/cluster.md shows how to try it on one machine, without SLURM.
#SBATCH --job-name=subgrid
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --requeue
set -euo pipefail

config=${1:?CONFIG.toml} folder=${2:?RUN_FOLDER} n_slices=${3:-8} stage=${4:-submit}

run() { "${SUBGRID:-subgrid}" run "$config" --output "$folder" --set "sampling.scheduler=$1"; }

submit() {
  local self options prepare slices
  self=$(realpath "${BASH_SOURCE[0]}")
  read -ra options <<<"--parsable --output $folder.logs/%x_%j.txt ${SBATCH_OPTIONS:-}"
  mkdir -p "$folder.logs"
  prepare=$(sbatch "${options[@]}" "$self" "$config" "$folder" "$n_slices" prepare)
  slices=$(sbatch "${options[@]}" --array "0-$((n_slices - 1))" --dependency "afterok:${prepare%%;*}" \
    "$self" "$config" "$folder" "$n_slices" slice)
  sbatch "${options[@]}" --dependency "afterany:${slices%%;*}" "$self" "$config" "$folder" "$n_slices" score
}

case $stage in
  submit) submit ;;
  prepare) run none ;;                                      # debias and train, and sample nothing
  slice) run "slice:${SLURM_ARRAY_TASK_ID:?}/$n_slices" ;;  # task i of 0 … n - 1
  score) run serial ;;                                      # sample what failed slices left, score, report
  *) echo "$0: unknown stage $stage; use submit, prepare, slice or score." >&2 && exit 2 ;;
esac
