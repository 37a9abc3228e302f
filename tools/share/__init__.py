"""Results to and from a shared storage, checked: `python -m tools.share --help`."""
