"""How much of an archive is in memory at a time."""

BLOCK_BYTES = 32 * 2**20
"""Of a block of values, in float32; what is done to it holds a few copies. Memory does not grow with an archive."""
