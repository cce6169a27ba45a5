#!/bin/bash
# Train one study on many nodes: sbatch examples/slurm_array.sh FOLDER (on a shared file system).
# Tasks claim runs from the folder, so they divide the work; a task that dies is replaced by --requeue.
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --requeue --signal=TERM@120 --time=04:00:00
cd "$SLURM_SUBMIT_DIR" || exit 1
exec mixopt train-proxies "${1:-.}" --quiet
