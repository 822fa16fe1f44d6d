"""Networks: fields in, fields out, conditioned on a noise level."""
