"""What a run left behind, read back: dvc.lock, revisions, results, statistics. It imports no torch."""
