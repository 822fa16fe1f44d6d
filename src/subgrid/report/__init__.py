"""What a run looks like: figures (axes in, axes out) and one self-contained HTML page."""
