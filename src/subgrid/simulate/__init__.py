"""Physical systems that make data: one file each."""
