"""How many times of an ensemble are drawn, and written, at a time."""

DRAWS_AT_ONCE, VALUES_AT_ONCE = 1024, 2**24
"""Fields, and numbers in them (64 MiB), drawn before they are put away: memory is bounded whatever the archive."""
CHUNK_VALUES = 2**20
"""Of a chunk in a store, before compression: 4 MiB."""


def time_blocks(n_times: int, n_members: int, n_values: int) -> tuple[int, int]:
    """Times of a work item and of a chunk of it: the same for one draw at a time or a store.

    An item holds at most 1024 fields and 2²⁴ values, a chunk 2²⁰ values, one time at least.

    Args:
        n_times: of the series.
        n_members: of the ensemble.
        n_values: of one field, all channels.

    Returns:
        Times of an item, a multiple of those of a chunk; and times of a chunk.

    Examples:
        >>> time_blocks(900, 16, 551)
        (64, 64)
    """
    whole = max(1, min(DRAWS_AT_ONCE, VALUES_AT_ONCE // n_values) // n_members)
    chunk = max(1, min(whole, n_times, CHUNK_VALUES // (n_values * n_members)))
    return min(whole // chunk, -(-n_times // chunk)) * chunk, chunk
