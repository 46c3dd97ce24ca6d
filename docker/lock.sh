#!/bin/sh
# Writes docker/requirements.lock anew: the versions of constraints.txt with the hashes of their
# files, for Linux on x86-64. Needs uv (pip install uv) and a package index.
set -eu
cd "$(dirname "$0")/.."
python3 -c "
import tomllib
project = tomllib.load(open('pyproject.toml', 'rb'))['project']
extras = project['optional-dependencies']
print(*project['dependencies'], *extras['privacy'], *extras['lora'], sep='\n')" |
    uv pip compile --quiet --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --constraint constraints.txt --output-file docker/requirements.lock -
