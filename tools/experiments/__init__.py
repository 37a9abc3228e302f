"""The named experiments of experiments.yaml: run, tabulated, compared; `python -m tools.experiments --help`."""
