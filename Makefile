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

docs: ## pages that are written from the code
	.venv/bin/python docs/configuration.py

demo: ## the embedded federation, about five minutes
	.venv/bin/fedseg simulate
