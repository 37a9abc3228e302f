"""File formats -> pixels of one size. The stage `convert`."""
