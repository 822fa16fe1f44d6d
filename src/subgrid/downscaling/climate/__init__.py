"""Climate archives: domain, anomalies, prior, the fitted model and its ensembles."""
