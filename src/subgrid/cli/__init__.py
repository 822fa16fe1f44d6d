"""The command line: names become objects here, and nowhere else."""
