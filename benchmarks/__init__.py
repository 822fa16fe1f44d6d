"""Side-by-side timings: ratios within one run, never seconds against another day's."""
