"""From debiased coarse fields to fine ones: guided priors, particles, bridges."""
