"""Tables of images: their layout, their reader, and what is beside them."""
