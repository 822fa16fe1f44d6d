"""Transport between two sets of samples."""
