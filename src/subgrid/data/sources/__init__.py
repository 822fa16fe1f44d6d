"""Finding and opening files: what a file is, where it lies, and its CF metadata decoded."""
