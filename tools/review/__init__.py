"""A review of two revisions that tells signal from noise; `python -m tools.review --help`."""
