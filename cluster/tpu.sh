#!/bin/sh
# cluster/tpu.sh SLICE ZONE bengio2006 --preset paper
# The slice has this repository in ~/dlx on every host, with `make quickstart` done and jax[tpu] in its .venv.
slice=$1 zone=$2
shift 2
exec gcloud compute tpus tpu-vm ssh "$slice" --zone "$zone" --worker=all \
    --command "cd dlx && exec .venv/bin/python -m experiments $* --coordinator auto"
