"""Models of p(x | C′x = y) trained for one C′ on free pairs (C′x, x): refinements of the Gaussian conditional."""
