"""Pictures of results and of images. Only the stage `plot` imports it."""
