"""The HTTP service: a folder for each thing it is about, and what all of them need."""
