"""A decision on what a variable is, in words: what it is taken for, why, its bounds, the scale it is modelled on."""

from subgrid.data.variables.quantities import Described

TRANSFORMS = {
    "none": "modelled as it is",
    "censored root": "modelled by its square root, below .1 as dry",
    "root": "modelled by the square root of its distance from the bound",
    "arcsine": "modelled by its arcsine between the bounds",
}


def in_words(described: Described, units: str) -> str:
    """What a variable is taken for, why, its bounds and the scale that it is modelled on."""
    about = described.kind.about
    taken = about if described.quantity == "other" else f"taken for {about}"
    return f"{taken} ({described.because}); {_bounds(described, units)}; {TRANSFORMS[described.transform]}"


def _bounds(described: Described, units: str) -> str:
    low, high = described.bounds
    unit = f" {units}" if units and units != "1" else ""
    match low is None, high is None:
        case True, True:
            return "without bounds"
        case False, True:
            return f">= {low:g}{unit}"
        case True, False:
            return f"<= {high:g}{unit}"
    return f"{low:g} to {high:g}{unit}"
