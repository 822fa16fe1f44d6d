"""Training: one plain `fit`, an unbiased average of the weights, checkpoints that resume to the same bits."""
