"""Pictures of results and of images. The stage `plot`."""
