#!/bin/bash
# A federation on a Slurm cluster: a Ray node on each machine of the allocation.
#
#   sbatch --nodes=4 --cpus-per-task=32 --gpus-per-node=4 examples/cluster/slurm.sh federation.toml runs/mine
#
# The data, the run folder and fedseg's environment, which must be active, lie on a shared file
# system. A job that is stopped or requeued goes on where it was.
#SBATCH --job-name=fedseg
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
set -euo pipefail

federation=${1:?give a federation file}
out=${2:?give a run folder}
head=$(hostname)
port=$((20000 + SLURM_JOB_ID % 20000)) # of this job alone, should a machine be shared
nodes=$SLURM_JOB_NUM_NODES
cores=${SLURM_CPUS_PER_TASK:-1}

trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
start() { # OPTIONS OF srun -- OPTIONS OF ray start
    local where=()
    while [ "$1" != -- ]; do
        where+=("$1")
        shift
    done
    shift
    srun --overlap --ntasks-per-node=1 --cpus-per-task="$cores" "${where[@]}" \
        ray start --block --disable-usage-stats --num-cpus="$cores" "$@" &
}
running() {
    ray status --address="$head:$port" 2>/dev/null | grep -c ' node_' || true
}

start --nodes=1 --nodelist="$head" -- --head --port="$port" --temp-dir="/tmp/ray-$SLURM_JOB_ID"
until [ "$(running)" -ge 1 ]; do sleep 1; done
if [ "$nodes" -gt 1 ]; then
    start --nodes=$((nodes - 1)) --exclude="$head" -- --address="$head:$port"
fi
for _ in $(seq 300); do
    [ "$(running)" -lt "$nodes" ] || break
    sleep 1
done
if [ "$(running)" -lt "$nodes" ]; then
    echo "only $(running) of $nodes machines joined the Ray cluster within 5 minutes" >&2
    exit 1
fi

fedseg simulate "$federation" --out "$out" --ray-address "$head:$port"
