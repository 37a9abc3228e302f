"""Cutting validation and test from train, statistics, and the data check. The stage `build`."""
