# Two commands for a fresh machine with Python, git and make:
#   make demo   a phantom pair registered with every model that can run here -> demo/report.html
#   make test   the whole suite
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint env env-test clean

demo: env
	$(BIN)/python tools/demo.py --out demo

test: env-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -q $(ARGS)

lint: env-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

env:
	@$(PYTHON) tools/setup_env.py

env-test:
	@$(PYTHON) tools/setup_env.py test

clean:
	rm -rf .venv .venv-peers demo build dist
