"""What two sets of unpaired samples must share before a transport can be fitted between them."""

from jaxtyping import Array, Float


def require_same_fields(source: Float[Array, "n *coarse"], target: Float[Array, "m *target_coarse"]) -> None:
    """Passes if the fields of both sets have one shape; their numbers n and m may differ.

    Args:
        source: n fields.
        target: m fields.

    Raises:
        ValueError: naming both shapes.

    Examples:
        >>> require_same_fields(coarse, operator(fine))
    """
    if source.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"source fields have shape {source.shape[1:]}, target fields {target.shape[1:]}; they must agree."
        )
