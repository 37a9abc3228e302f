"""The training of a model: its input, its steps, its history, and what survives a kill. The stage `train`."""
