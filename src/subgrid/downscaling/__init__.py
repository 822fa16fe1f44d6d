"""The main job: debias coarse fields, sample fine fields conditionally, score them."""
