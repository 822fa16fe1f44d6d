"""From the distribution of coarse fields to that of coarsened fine fields; which method and how strongly."""
