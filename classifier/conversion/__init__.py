"""From published or packed files to tables of images: formats, decoding, size, colour. Only the stage `convert` imports it."""
