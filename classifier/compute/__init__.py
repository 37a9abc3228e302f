"""What makes numbers repeatable: device, threads, precision, seeds."""
