"""Check that dvc.lock is true, each stage in a clean room; `python -m tools.verify --help`."""
