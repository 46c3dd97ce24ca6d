#!/bin/sh
# Writes docker/requirements.lock anew: the versions of constraints.txt with the hashes of their
# files, for Linux on x86-64. Needs uv (pip install uv) and a package index.
#
#   docker/lock.sh               everything, from your package index
#   docker/lock.sh TORCH_INDEX   docker/torch.lock: torch and torchvision alone, from that index
set -eu
cd "$(dirname "$0")/.."

lock() { # lock FILE [option ...]: the requirements on standard input
    file=$1 && shift
    uv pip compile --quiet --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --constraint constraints.txt --output-file "$file" "$@" -
}

if [ $# -gt 0 ]; then
    grep -E '^torch(vision)?==' constraints.txt | lock docker/torch.lock --no-deps --index-url "$1"
    exit
fi
python3 -c "
import tomllib
content = tomllib.load(open('pyproject.toml', 'rb'))
project, build = content['project'], content['build-system']
extras = project['optional-dependencies']
requirements = project['dependencies'], extras['privacy'], extras['lora'], build['requires']
print(*sum(requirements, []), sep='\n')" | lock docker/requirements.lock
