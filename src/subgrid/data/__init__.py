"""Fields between files and arrays: opening, checking, splitting, normalising, writing."""
