"""The training of a model: its input, its steps, and what survives a kill. Only the stage `train` imports it."""
