"""What DVC runs: one module a stage. Fixed paths live here and nowhere else."""
