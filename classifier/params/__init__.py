"""The typed parameters, a module a stage, so that a new knob of one stage reruns no other."""
