#!/usr/bin/env bash
# A study that Optuna opens again keeps its old direction, whatever the call says, and calls the worst trial the best.
#
# Versions: Optuna 5.0.0, SQLAlchemy 2.1.9 (SQLite).
# Behaviour: create_study(..., direction="maximize", load_if_exists=True) on a study that was made without a direction (minimize)
#   returns the old one. The log says that an existing study is used, and nothing of the direction. No error, no warning.
# Best guess: an error, as for other things that do not fit, or the new direction. So at least a line in the log.
# Seen: nothing is said, and best_value is the lowest accuracy of all: 0.39 below the highest.
#   direction asked for: maximize; direction of the study: minimize; warnings and log lines about it: 0
#   accuracies of the 40 trials: 0.501 to 0.892; best_value: 0.501
#   share of the last 20 trials above 0.7, the sampler having been told to climb: 0.00
# Way out: compare study.direction with what was asked for, or put the metric's name into the study's.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq optuna==5.0.0 sqlalchemy==2.1.9
venv/bin/python - <<'PY'
import logging
import warnings

import optuna

said = []
optuna.logging.disable_default_handler()
listener = logging.Handler(logging.INFO)
listener.emit = lambda record: said.append(record.getMessage())
logging.getLogger("optuna").addHandler(listener)


def accuracy(trial):
    return 0.9 - 0.4 * trial.suggest_float("dropout", 0, 1)


place = {"study_name": "pictures", "storage": "sqlite:///study.db", "load_if_exists": True}
optuna.create_study(**place)  # the direction forgotten, or minimize for a loss
said.clear()
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    study = optuna.create_study(**place, direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
num_said = len(warned) + sum("Using an existing study" not in line for line in said)
study.optimize(accuracy, n_trials=40)
values = [trial.value for trial in study.trials]
climbed = sum(value > 0.7 for value in values[20:]) / 20
found = study.direction.name.lower()
print(f"optuna {optuna.__version__}")
print(f"log lines of the call: {said[:1]}")
print(f"direction asked for: maximize; direction of the study: {found}; warnings and log lines about it: {num_said}")
print(f"accuracies of the 40 trials: {min(values):.3f} to {max(values):.3f}; best_value: {study.best_value:.3f}")
print(f"share of the last 20 trials above 0.7, the sampler having been told to climb: {climbed:.2f}")
print("guess: an error, or at least a line about the other direction")
if found != "minimize" or num_said or study.best_value != min(values):
    raise SystemExit("changed: the direction is looked at")
PY
