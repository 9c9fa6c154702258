# Everything on a fresh machine: `make demo` (the main job) and `make check` (all checks).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
export MPLBACKEND = Agg

# Web browser, database, sandbox and Japanese letters of the analysis server; OpenGL without a
# screen; what the queue server keeps its queue in.
SYSTEM := bubblewrap chromium fonts-ipafont-gothic libegl1 libgl1-mesa-dri postgresql redis-server

# Tests run side by side, one process more than cores, since some wait for others; each computes
# with one thread. (nproc would say 1 where OMP_NUM_THREADS is 1.)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=$$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses=8 --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help system venv demo check test fuzz faults files lint types contracts script docs format bench bench-volume hotspot adapters chaos kill axe soak soak-steering hashes model wheel clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

system: ## install the system packages that server, reports and their tests use (Debian, as root)
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get install --yes --quiet --no-install-recommends $(SYSTEM) || \
		{ apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends $(SYSTEM); }; \
	else echo "Not root on Debian; please install: $(SYSTEM)"; fi

venv: $(VENV)/.ready ## make the virtual environment with everything in it

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib || true  # on all cores; pip has one
	@touch $@

demo: venv ## find point A on a simulated film; ends in point_A.png
	$(BIN)/bl-steer demo

check: lint ## all checks
	$(MAKE) --jobs=2 types contracts script docs
	$(MAKE) test

lint: venv ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv ## mypy --strict on the four roots
	$(BIN)/mypy

contracts: venv ## which room may import which
	$(BIN)/lint-imports

test: venv ## pytest, doctests included
	$(PYTEST)

fuzz: venv ## 4,000 requests and more made from the analysis server's description: none may break it; and 100,000 suggestions beside forbidden zones, and ways round them
	BL_STEER_FUZZ_CASES=8000 $(BIN)/pytest --timeout=0 tests/bl_steer/server/web/test_api.py -k made_from_the_description
	BL_STEER_FUZZ_CASES=7000 $(BIN)/pytest --timeout=0 tests/bl_steer/agents/test_zones.py -k whatever_it_is_told
	BL_STEER_FUZZ_CASES=2000 $(BIN)/pytest --timeout=0 tests/plans/test_paths.py -k no_leg_of_a_way

faults: venv ## the whole matrix of faults, in process and over Channel Access (some five minutes)
	BL_STEER_ALL_FAULTS=1 $(BIN)/pytest --timeout=0 --durations=0 tests/plans/test_faults.py tests/simulators/epics/test_matrix.py

files: venv ## whole analyses of 76 files of ten libraries, by Python, command line and server
	BL_STEER_ALL_FILES=1 OMP_NUM_THREADS=1 $(BIN)/pytest --timeout=0 tests/bl_steer/files/test_whole_runs.py

script: venv ## the scripted experiment
	$(BIN)/python examples/scripted_experiment.py --data $$(mktemp -d)

docs: venv ## the site, with the notebooks executed, to docs/_build/html; warnings are errors
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --jobs=2 --fail-on-warning --keep-going -b html docs docs/_build/html

format: venv ## ruff: put code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv ## all benchmarks; see docs/benchmarks.md for the latest results
	set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file; done

$(PEERS)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --no-compile --constraint constraints.txt torch==2.13.0
	$(PEERS)/bin/pip install --quiet --no-compile --constraint constraints.txt --editable '.[peers]' 'dask[distributed]' pytest pytest-timeout
	@touch $@

hotspot: $(PEERS)/.ready ## point A by us, blop, gpCAM, Xopt and others: same films, same noise (hours; carries on after an interruption)
	OMP_NUM_THREADS=1 $(PEERS)/bin/python benchmarks/hotspot.py

adapters: $(PEERS)/.ready ## our agents in the plans of blop and bluesky-adaptive, and theirs in ours
	OMP_NUM_THREADS=1 $(PEERS)/bin/pytest --timeout=0 tests/plans/test_other_agents.py

chaos: venv ## the analysis server under SIGKILL: three seeds, SQLite and PostgreSQL (some 45 minutes)
	set -e; for seed in 0 1 2; do for database in sqlite postgresql; do \
		$(BIN)/python benchmarks/chaos_server.py --seed $$seed --database $$database; done; done

kill: venv ## steered runs, maps and rocking scans under SIGKILL: three seeds, 50 kills each (some 20 minutes)
	set -e; for seed in 0 1 2; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/kill_steering.py --seed $$seed; done

axe: venv ## every page of the analysis server in a browser: its time while two jobs run, and the faults that axe-core of npm finds
	npm install --silent --no-audit --no-fund --prefix build/axe axe-core@4.14.1
	$(BIN)/python benchmarks/bench_pages.py --axe build/axe/node_modules/axe-core/axe.min.js

soak: venv ## ten minutes of the analysis server at work: memory of its processes
	$(BIN)/python benchmarks/soak_server.py

bench-volume: venv ## super-resolve a stack larger than memory; kill it and go on
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_volume.py

soak-steering: venv ## 24 simulated hours of steering with faults: memory, open files and threads of a session
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/soak_steering.py

hashes: venv ## what the analysis server needs, with hashes, for pip --require-hashes: deploy/requirements.txt
	mkdir -p build
	$(BIN)/pip install --quiet --dry-run --ignore-installed --report build/report.json --constraint constraints.txt '.[server]'
	$(BIN)/python deploy/pin.py build/report.json > deploy/requirements.txt

model: venv ## train the shipped model of FIB-SEM phases anew (some 60 minutes on one core)
	$(BIN)/python examples/train_fibsem_model.py --out build/fibsem_first
	$(BIN)/python examples/train_fibsem_model.py --start build/fibsem_first --out build/fibsem_second
	$(BIN)/python examples/train_fibsem_model.py --start build/fibsem_second --out src/bl_steer/models/fibsem
	rm -f src/bl_steer/models/fibsem/checkpoint.pt

wheel: venv ## build the wheel, install it in an empty environment, run its demo
	.ci/try_wheel $(PYTHON)

clean: ## remove what the checks leave behind
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
