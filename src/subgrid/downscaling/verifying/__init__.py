"""An ensemble of any form against a reference: read, placed on one grid and unit, paired, and scored block by block."""
