"""What Subgrid does not know is never below 0 by chance or because it cannot be: only its user can tell."""

from subgrid.data.variables.quantities import OPEN, Described


def never_negative(name: str, described: Described, low: float, high: float) -> str | None:
    """What is said of a variable that nothing keeps from falling below 0 when it is drawn, though it never does.

    Args:
        name: of the variable.
        described: what it is taken to be.
        low: its smallest value.
        high: its largest value.

    Returns:
        A sentence with what to do; None for a variable with bounds, for one whose values are far from 0 for their
        range, and where the user has said what it is.

    Examples:
        >>> never_negative("lai", described, 0.0, 5.2)
    """
    if described.quantity != "other" or described.bounds != OPEN or described.is_told:
        return None
    if not 0 <= low < high - low:
        return None
    bounds = f"{name} = {{bounds = [0, 'none']}}"
    return (
        f"{name} is never below 0, and its draws may be, as Subgrid does not know it; if it cannot be, say so: "
        f'variables = {{{bounds}}}, on the command line --variable "{bounds.replace(" ", "")}"'
    )
