# `make demo` and `make test` each set up what they need; nothing else has to be run before them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready
LAB := PYTHONPATH=tests $(BIN)/python -m lab

.PHONY: help setup demo test lint format fuzz bench lab lab-setup score minors captures agreement readme lock clean distclean bench-limits

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(READY) ## .venv with trace-go and the locked development tools

$(READY): scripts/setup.sh requirements-dev.lock pyproject.toml
	@scripts/setup.sh python
	@touch $@

lab-setup: $(READY)
	@scripts/setup.sh lab || echo "setup: going on without the lab" >&2

demo: lab-setup ## the main job, for real: a traced `go mod download` through an interceptor, in the lab
	@$(BIN)/python scripts/demo.py

test: lint lab-setup ## everything that must pass
	@echo "pytest: everything but the lab" && $(BIN)/pytest -m "not lab" -n auto -rs
	@echo "pytest: real go commands in the lab" && $(BIN)/pytest -m "lab and not minors" -rs

lint: $(READY) ## style, types, import contracts, generated documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/readme.py --check

format: $(READY) ## what ruff can put right by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: $(READY) ## coverage-guided fuzzing, SECONDS=60 for each target; or one of them: make fuzz TARGET=frames
	@scripts/setup.sh fuzz
	@for target in $(or $(TARGET),$$($(BIN)/python tests/fuzz/run.py --list)); do \
		echo "fuzz: $$target" && \
		$(BIN)/python tests/fuzz/run.py $$target -max_total_time=$(or $(SECONDS),60) -verbosity=0 || exit 1; \
	done

bench: lab-setup ## trace-go beside tshark, nfstream and libpcap, and what tracing costs (about 2 GB in .bench); docs/speed.md
	@scripts/setup.sh bench
	@$(BIN)/python benchmarks/bench.py --write docs/speed.md

bench-limits: $(READY) ## time and memory of the largest inputs (about 12 GB in .bench, then deleted); docs/limits.md
	@scripts/setup.sh bench
	@$(BIN)/python benchmarks/limits.py --write docs/limits.md

lab: lab-setup ## every scenario without trace-go, against its truth; or one of them: make lab S=mirror-dead
	@scripts/setup.sh toolchains
	@rm -rf .lab/runs
	@$(LAB) run $(S) --out .lab/runs --capture

score: lab-setup ## every scenario traced: how right is trace-go, and is anything worse than docs/scoreboard.md
	@scripts/setup.sh toolchains
	@rm -rf .lab/score
	@$(LAB) score $(S) --out .lab/score

minors: lab-setup ## requests inside TLS, with every minor release of Go
	@scripts/setup.sh toolchains
	@$(BIN)/pytest -rs tests/e2e/test_keys.py

captures: lab-setup ## make captures/ again, from the lab
	$(BIN)/python scripts/captures.py
	$(BIN)/python scripts/check_captures.py

agreement: $(READY) ## compare our judgement of certificate chains with Go's again, and write docs/chain-agreement.md
	$(BIN)/python scripts/agreement.py

readme: $(READY) ## write the generated parts of the documentation again
	$(BIN)/python scripts/readme.py

lock: $(READY) ## resolve the locked versions again
	scripts/lock.sh

clean: ## what make has made, but .venv
	rm -rf .bench .fuzz .lab build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## and .venv
	rm -rf .venv
