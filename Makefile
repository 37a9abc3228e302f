# `make help` lists the targets. ARGS="..." passes options: make test ARGS="-k download -x"

VENV_PYTHON := .venv/bin/python
# Each file of tests stays in one of two processes: its tests share what takes long to make. ARGS="-n0 --pdb" takes one.
PYTEST := $(VENV_PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# The stages in dvc.yaml call `python`: it must be the one of .venv.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# A caller's Python settings do not belong in .venv. A git hook's settings would turn every git command on the hook's repository.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH VIRTUAL_ENV
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX GIT_OBJECT_DIRECTORY GIT_COMMON_DIR
# DVC asks for the user's name, which that of a container may lack.
export USER := $(or $(LOGNAME),$(USER),$(shell id -u))

.PHONY: help quickstart repro push pull verify fresh review report tensorboard predict export search test test-slow test-nightly lint bench doctor setup setup-dev

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

quickstart: setup ## set up, get the data, train, measure and plot
	@$(VENV_PYTHON) -m tools.quickstart

repro: setup ## check the settings, then run what has changed
	$(VENV_PYTHON) -m tools.check
	$(VENV_PYTHON) -m dvc repro $(ARGS)

push: ## upload the results to the shared storage (docs/guide/sharing.md)
	@sh tools/setup.sh share
	@$(VENV_PYTHON) -m tools.share push $(ARGS)

pull: ## download the results from the shared storage
	@sh tools/setup.sh share
	@$(VENV_PYTHON) -m tools.share pull $(ARGS)

verify: setup ## run each stage again in a clean room and compare with dvc.lock (ARGS="--no-train": the quick part)
	@$(VENV_PYTHON) -m tools.verify $(ARGS)

fresh: setup ## is dvc.lock up to date? (ARGS="main": of a branch)
	@$(VENV_PYTHON) -m tools.fresh $(ARGS)

review: setup ## is it better? compare with another commit: make review BASE=main (ARGS="--html review.html")
	@$(VENV_PYTHON) -m tools.review $(ARGS) '$(or $(BASE),HEAD)' $(if $(HEAD),'$(HEAD)')

report: setup ## write one HTML page about the run (ARGS="--output FILE")
	@$(VENV_PYTHON) -m tools.report $(ARGS)

tensorboard: ## show this run in TensorBoard (ARGS="NAME --watch")
	@sh tools/setup.sh tensorboard
	@$(VENV_PYTHON) -m tools.tensorboard $(ARGS)

predict: setup ## classify pictures: make predict ARGS="cat.jpg folder"
	@$(VENV_PYTHON) -m tools.predict $(ARGS)

export: ## export the model to ONNX with a model card, into models/export/
	@sh tools/setup.sh export
	@$(VENV_PYTHON) -m tools.export $(ARGS)

search: ## search settings with Optuna: make search ARGS="lr=log:1e-4:1e-1 --trials 40"
	@sh tools/setup.sh search
	@$(VENV_PYTHON) -m tools.experiments search $(ARGS)

test: setup-dev ## run the tests
	$(PYTEST) $(ARGS)

test-slow: setup-dev ## run the tests that take a minute or more
	$(PYTEST) -m 'slow and not nightly' $(ARGS)

test-nightly: setup-dev ## run the tests that take many minutes
	CASES_TIMES=1 $(PYTEST) -m 'nightly or generated' $(ARGS)

lint: setup-dev ## check style, types and workflows; changes nothing
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy
	.venv/bin/zizmor --offline --quiet .github/workflows

bench: setup ## run the benchmarks, on an idle machine (ARGS="train": only one)
	for name in $(or $(ARGS),table resume scaling train pipeline folder photographs scale); do $(VENV_PYTHON) -m benchmarks.$$name || exit; done

doctor: ## print what a bug report needs, and what is wrong
	@python=$(VENV_PYTHON); $$python -c '' 2>/dev/null || python=$$(sh tools/setup.sh python) && "$$python" -m tools.doctor

setup: ## make .venv and install the pinned requirements (PYTHON=python3.13)
	@sh tools/setup.sh run

setup-dev: setup ## the same, with the tools for tests and lint
	@sh tools/setup.sh dev
