#!/usr/bin/env bash
# Optuna takes an enqueued baseline with a misspelt name or a value out of range, and runs something else or the impossible.
#
# Versions: Optuna 5.0.0.
# Behaviour: enqueue_trial({"learning_rate": 0.1}) when the objective asks for "lr" is dropped in silence: the trial draws lr at
#   random, and stands in the list like a baseline. A value outside of the range that the objective names is used all the same,
#   with a warning; so the best trial may lie where the search was forbidden to look.
# Best guess: both are refused when the objective asks for the value, since only then Optuna knows the names and the range.
# Seen: neither is refused.
#   enqueued {'learning_rate': 0.1}: state COMPLETE, used lr = 0.5488, warnings 0
#   enqueued {'lr': 50.0}, range 0 to 1: state COMPLETE, used lr = 50.0000, warnings 1
#   best trial of 20 more, the objective is the highest lr: lr = 50.0000
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq optuna==5.0.0
venv/bin/python - <<'PY'
import warnings

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
print(f"optuna {optuna.__version__}")
warned = []
for baseline in ({"learning_rate": 0.1}, {"lr": 50.0}):
    study.enqueue_trial(baseline)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study.optimize(lambda trial: trial.suggest_float("lr", 0, 1), n_trials=1)
    warned.append(len(caught))
    trial = study.trials[-1]
    told = f"{baseline}, range 0 to 1" if "lr" in baseline else f"{baseline}"
    print(f"enqueued {told}: state {trial.state.name}, used lr = {trial.params['lr']:.4f}, warnings {warned[-1]}")
study.optimize(lambda trial: trial.suggest_float("lr", 0, 1), n_trials=20)
print(f"best trial of 20 more, the objective is the highest lr: lr = {study.best_params['lr']:.4f}")
print("guess: both are refused")
if warned[0] or study.trials[0].params["lr"] == 0.1 or study.trials[1].params["lr"] != 50.0:
    raise SystemExit("changed: enqueued settings are checked")
PY
