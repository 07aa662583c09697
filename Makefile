# Short names for what README.md and CONTRIBUTING.md say in full.
PYTHON ?= python3

.PHONY: demo test long bench

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -e ".[test]"
	touch $@

demo: .venv/installed
	.venv/bin/tricorn dev examples.tour:app

test: .venv/installed
	.venv/bin/python tests/check.py

long: .venv/installed
	.venv/bin/python -m pytest -m long

bench: .venv/installed
	.venv/bin/python benchmarks/serve.py
