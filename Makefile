# Two commands for a fresh machine with Python, git and make:
#   make demo   register real scans with every model; writes demo/report.html
#   make test   run the whole suite
# To compare the zoo with all installed peers, each run in a process of its own:
#   make bench                on a small phantom
#   make bench DATA=FOLDER    also on all pairs of a data folder; accuracy against time
#   make bench SIZES=128,256  on phantoms with so many voxels along each axis
PYTHON ?= python3
BIN := .venv/bin
SIZES ?= 64

.PHONY: demo test test-peers lint bench env env-test env-peers clean

demo: env
	$(BIN)/python tools/demo.py --out demo

test: env-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -q $(ARGS)

test-peers: env-peers
	OMP_NUM_THREADS=1 .venv-peers/bin/python -m pytest -n 2 --dist loadfile -q tests/peers tests/hub/test_circle.py $(ARGS)

lint: env-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: env-test
	PYTHONPATH=tools $(BIN)/python -m benchmarks.peers --sizes $(SIZES) $(if $(DATA),--data $(DATA)) \
	  --out bench/peers $(ARGS)

env:
	@$(PYTHON) tools/setup_env.py

env-test:
	@$(PYTHON) tools/setup_env.py test

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
	rm -rf .venv .venv-peers demo bench build dist
