# Short names for what README.md and CONTRIBUTING.md say in full.
PYTHON ?= python3

.PHONY: demo test long bench fuzz

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

# So many seconds for each target; atheris, if it is installed, finds more: .venv/bin/pip install atheris
SECONDS ?= 300
fuzz: .venv/installed
	for target in h1 h2 h3 websocket; do .venv/bin/python tests/fuzz/fuzz.py $$target --seconds $(SECONDS) || exit 1; done
