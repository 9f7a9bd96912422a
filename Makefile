# Two commands for a fresh machine with Python, git and make:
#   make demo   register real scans with every model; writes demo/report.html
#   make test   run the whole suite; make test-quick leaves out the slow tests
# For contributors: the environment with pre-commit and the documentation tools
#   make env-dev
# To build the documentation site, or to serve it while you write:
#   make docs
#   make docs-preview
# To compare the zoo with all installed peers, each run in a process of its own:
#   make bench                on a small phantom
#   make bench DATA=FOLDER    also on all pairs of a data folder; accuracy against time
#   make bench SIZES=128,256  on phantoms with so many voxels along each axis
PYTHON ?= python3
BIN := .venv/bin
SIZES ?= 64
COUNT ?= 10000
SEED ?= 0

# Child processes of tests import the package many times, so that it pays to keep its bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-quick test-peers coverage lint docs docs-preview bench fuzz dist space env env-test env-docs \
  env-dev env-peers clean

demo: env
	$(BIN)/python tools/demo.py --out demo

test: env-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -q $(ARGS)

test-quick: env-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -q -m "not slow" $(ARGS)

test-peers: env-peers
	OMP_NUM_THREADS=1 .venv-peers/bin/python -m pytest -n 2 --dist loadfile -q tests/peers tests/hub/test_circle.py $(ARGS)

coverage: env-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -q --cov --cov-report=term:skip-covered $(ARGS)

lint: env-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python tools/check_files.py

# With other mutations in each night: make fuzz SEED=NUMBER
fuzz: env-test
	PYTHONPATH=tools $(BIN)/python tools/fuzz.py --count $(COUNT) --seed $(SEED) --keep fuzz-findings

# The wheel and the sdist, each installed into a clean environment and tried there.
dist: env-dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python tools/check_distribution.py dist

# The files of the Space, in build/space; docs/how-to/app.md says how to publish them.
space: env-dev
	rm -rf dist
	$(BIN)/python -m build --wheel
	$(BIN)/python tools/make_space.py --wheel dist/*.whl --out build/space

docs: export NO_MKDOCS_2_WARNING = 1
docs: env-docs
	$(BIN)/mkdocs build --strict --quiet

docs-preview: env-docs
	$(BIN)/mkdocs serve

bench: env-test
	PYTHONPATH=tools $(BIN)/python -m benchmarks.peers --sizes $(SIZES) $(if $(DATA),--data $(DATA)) \
	  --out bench/peers $(ARGS)

env:
	@$(PYTHON) tools/setup_env.py

env-test:
	@$(PYTHON) tools/setup_env.py test

env-docs:
	@$(PYTHON) tools/setup_env.py docs

env-dev:
	@$(PYTHON) tools/setup_env.py test docs dev

env-peers: .venv-peers/ready

# The upstream packages in an environment of their own, on top of the test environment.
.venv-peers/ready: tools/peers.txt | env-test
	rm -rf .venv-peers
	$(BIN)/python -m venv .venv-peers
	echo 'import site; site.addsitedir("$(abspath $(shell ls -d .venv/lib/*/site-packages))")' \
	  > $$(ls -d .venv-peers/lib/*/site-packages)/test-environment.pth
	.venv-peers/bin/python -m pip install --quiet --no-deps -r tools/peers.txt
	touch $@

clean:
	rm -rf .venv .venv-peers demo bench build dist site fuzz-findings
