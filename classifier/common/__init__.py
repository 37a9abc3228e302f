"""What every stage stands on: errors, whole files, the graph, params, and which process this is."""
