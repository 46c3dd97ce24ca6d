#!/usr/bin/env bash
# Builds both images, runs docker/local.yaml's federation to its result and removes what it started;
# the images stay, as fedseg-server:smoke and fedseg-node:smoke.
#
#   docker/smoke.sh [BASE [option of `docker build` ...]]
#
# BASE is the base image, python:3.11-slim by default. ENGINE=podman takes Podman and podman-compose
# even where there is Docker.
set -euo pipefail
cd "$(dirname "$0")/.."
base=${1:-python:3.11-slim}
shift || true

engine=${ENGINE:-$(docker info > /dev/null 2>&1 && echo docker || echo podman)}
case "$engine" in
docker) compose=(docker compose) ;;
podman) compose=(podman-compose) && set -- --format docker "$@" ;; # else it drops health checks
esac
compose+=(--file docker/local.yaml --project-name fedseg-smoke)
export FEDSEG_SERVER_IMAGE=fedseg-server:smoke FEDSEG_NODE_IMAGE=fedseg-node:smoke

step() { printf '\n=== %s, after %d s\n' "$1" "$SECONDS"; }

step "building the images on $base with $engine"
for target in server node; do
    "$engine" build --quiet --build-arg BASE="$base" --file docker/Dockerfile --target "$target" \
        --tag "fedseg-$target:smoke" "$@" .
    "$engine" image inspect "fedseg-$target:smoke" --format '{{index .RepoTags 0}}: {{.Size}} bytes'
done

clean_up() {
    status=$?
    trap - EXIT
    [ "$status" = 0 ] || "${compose[@]}" logs 2>&1 | tail -100
    step "removing containers, networks and volumes"
    "${compose[@]}" --profile setup down --volumes > /dev/null 2>&1
    exit "$status"
}
trap clean_up EXIT

step "making certificates and keys"
"${compose[@]}" --profile setup run --rm setup

step "starting the server, and letting the nodes in"
"${compose[@]}" up --detach server
"${compose[@]}" exec -T server sh /local/local.sh add

step "starting the nodes, and running the federation"
"${compose[@]}" up --detach
"${compose[@]}" exec -T server sh /local/local.sh run

step "asking for health"
for service in server boulevard suburb oldtown; do
    id=$("$engine" ps --quiet --filter label=com.docker.compose.project=fedseg-smoke \
        --filter "label=com.docker.compose.service=$service")
    if [ "$engine" = podman ]; then
        podman healthcheck run "$id" # Podman leaves the asking to systemd, which may not be there
    else
        [ "$(docker inspect "$id" --format '{{.State.Health.Status}}')" = healthy ]
    fi
    echo "$service: healthy"
done

step "done"
