"""The current run as one page to look at; `python -m tools.report --help`."""
