"""Runs in TensorBoard, made from what the stages declare; `python -m tools.tensorboard --help`."""
