"""Where images come from: the catalogue and its files, a folder of pictures, tables. The stage `download`."""
