"""CF files: opening, units, calendars, coordinates, checks, and what is wrong with them."""
