#!/bin/sh
#SBATCH --job-name=dlx
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --time=04:00:00
# sbatch cluster/slurm.sh bengio2006 --preset paper
# One process a GPU, which is what JAX finds under Slurm. The first process reads and writes ./runs.
exec srun .venv/bin/python -m experiments "$@" --coordinator auto
