"""A temporary folder that holds what dvc.yaml declares for one stage and nothing else, and what can be seen of a run in it."""
