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

docs: ## pages that are written from the code, and the site, in site/
	.venv/bin/python docs/configuration.py
	.venv/bin/mkdocs build -f docs/mkdocs.yml

demo: ## the embedded federation, about three minutes
	.venv/bin/fedseg simulate
