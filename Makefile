# What a contributor needs; CONTRIBUTING.md says more.
.PHONY: install test lint docs demo

install: ## a virtual environment with everything
	python3 -m venv .venv
	.venv/bin/pip install -c constraints.txt -e ".[dev]"

test: ## all tests but the slow ones
	.venv/bin/pytest

lint: ## style, types and imports
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# MkDocs reads the whole repository, and so does not write into it.
docs: ## pages that are written from the code, and the site, in site/
	.venv/bin/python docs/configuration.py
	built=$$(mktemp -d) && trap 'rm -rf "$$built"' EXIT && \
	.venv/bin/mkdocs build -f docs/mkdocs.yml -d "$$built/site" && \
	rm -rf site && mv "$$built/site" site

demo: ## the embedded federation, about three minutes
	.venv/bin/fedseg simulate
