"""A network with its normalisation and precision: given images, saved, loaded, asked."""
