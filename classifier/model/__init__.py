"""The model: networks and their layers, the images it is given, and what makes its numbers repeatable."""
