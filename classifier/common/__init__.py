"""What every stage stands on: errors, whole files, fingerprints, pins, and which process this is."""
