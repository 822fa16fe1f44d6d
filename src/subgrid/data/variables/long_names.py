"""What the long name of a variable says of it, where it says it plainly: in whole words, as archives write them.

"Total precipitation", "10m wind speed" and "Relative humidity at 2 m" say what a variable is, whatever its name. A long
name that speaks of something made of a variable, such as its trend or the number of its days, says nothing.
"""

import re
from collections.abc import Iterator

import xarray as xr

QUANTITIES_IN_WORDS: dict[str, str] = {
    "temperature range": r"(diurnal|daily) .*temp.* range|temperature range|(diurnal|daily) range of .*temperature",
    "relative humidity": r"rel(ative|\.)? humidity",
    "mass fraction": r"specific humidity|(humidity|water vapou?r) mixing ratio",
    "vapour pressure": r"vapou?r pressure( deficit)?",
    "pressure": r"(air|surface|sea level|msl|station|atmospheric) pressure"
    r"|pressure (at|reduced to) .*(sea level|msl|surface)",
    "velocity": r"(eastward|northward|zonal|meridional|[uvxy])( \w+){0,3} (wind|velocity|component)\w*"
    r"|[uvxy] (wind|component)|wind .*\b(component|vector)|(wind|velocity) [uv]|vertical (wind|velocity)",
    "speed": r"wind ?speed|speed of (the )?(\w+ ){0,2}wind|(wind )?gusts?( speed)?|wind (mean )?speed",
    "net radiation": r"net .*(radiation|radiative flux|solar|short ?wave|long ?wave|thermal|irradiance)",
    "radiation": r"(short ?wave|long ?wave|solar|thermal|global|direct|diffuse)( \w+)? (radiation|irradiance|flux)"
    r"|(down|up)\w* .*(short ?wave|long ?wave|solar|thermal|radiation|irradiance)"
    r"|(incoming|incident|outgoing|reflected) .*(short ?wave|long ?wave|solar|thermal|radiation|irradiance)"
    r"|(short ?wave|long ?wave) (down|up)\w*|irradiance|insolation",
    "snow amount": r"snow (depth|height|thickness|amount|water equivalent)|(water equivalent|depth) of (the )?snow",
    "precipitation": r"precipitation|precip|rain ?fall|rain|snow ?fall",
    "fraction": r"clouds? (area |cover )?(fraction|cover|amount|coverage)|cloudiness"
    r"|(total|low|mid|middle|medium|high)( level)? clouds?$"
    r"|ice (area|cover|coverage|concentration|fraction|area fraction)|snow (area|cover|covered)( area)?( fraction)?"
    r"|(land|sea|ocean|vegetation|urban|lake) (area )?fraction|albedo",
    "temperature": r"temperatures?|air temp",
}  # fmt: skip
"""In the order in which they are tried: what says more before what says less."""
MADE_OF_IT = re.compile(
    r"\b(number|counts?|probabilit\w+|standard deviation|std|stdev|uncertaint\w+|errors?|flags?|mask|index|percentiles?"
    r"|quantiles?|trends?|tendency|duration|types?|variance|skewness|kurtosis|correlation|covariance|weights?"
    r"|weighting|gradient|advection|stress|direction|potential|virtual|forcing|effect|heat|evapo\w*|minus|surplus"
    r"|balance|square[ds]?|due to|product of|lapse|(wet|dry|rainy?|frost|consecutive|heavy|degree) days?"
    r"|days (with|of|above|below)|hours (with|of|above|below)|(?<!vapor pressure )(?<!vapour pressure )deficit"
    r"|(?<!mixing )ratio|bias(?! (correct|adjust))|quality(?! control))\b"
)  # fmt: skip
"""What is made of a variable, or is about it: none of its bounds."""
CHANGES = re.compile(
    r"\banomal|\b(change|difference|deviation|departure)s? (of|in|from|relative to|with respect to|between|to)\b"
    r"|^(\w+ ){0,3}(change|difference|deviation|departure)s?\b|\bminus (the )?(climatolog|mean|normal|average)"
    r"|\brelative to (the )?((long term )?(mean|average|climatolog\w*|normals?) ?|of |over |period )*"
    r"((19|20)\d\d|base ?line|climatolog\w*|normals?|average|reference period|pre ?industrial)"
)  # fmt: skip
CORRECTED = re.compile(r"\b(correct|adjust|account|homogen)\w* (\w+ )*(for|by)\b.*")
"""What follows says how a value was made, not what it is."""
OTHER_READINGS: dict[str, tuple[str, str]] = {
    "r2": ("other", r"determination|correlation|squared|explained|goodness"),
    "hu": ("mass fraction", r"specific|mixing"),
}
"""Of names of a relative humidity, in pure numbers: the other reading, and the words of a long name that say so."""


def quantities_in(title: str) -> Iterator[str]:
    """What a long name says that a variable is, in the order of how much it says.

    Args:
        title: the attribute "long_name".

    Yields:
        Keys of `QUANTITIES`; nothing where it says nothing, or speaks of what is made of a variable.

    Examples:
        >>> next(quantities_in("10m wind speed"))
        'speed'
    """
    words = _words(title)
    if MADE_OF_IT.search(words):
        return
    for quantity, pattern in QUANTITIES_IN_WORDS.items():
        if quantity == "radiation" and "net" in words.split():
            continue  # in whatever units: it has no bound
        if re.search(rf"\b({pattern})(?![^\W_])", words):
            yield quantity


def is_change(title: str) -> bool:
    """Whether a long name speaks of an anomaly or of a change in time, and not of what some difference corrected."""
    return CHANGES.search(CORRECTED.sub("", _words(title))) is not None


def is_deviation(title: str) -> bool:
    """Whether a long name speaks of a standard deviation."""
    return re.search(r"\bstandard deviations?\b", _words(title)) is not None


def other_reading(field: xr.DataArray) -> tuple[str, str] | None:
    """What a name of a humidity means in pure numbers where its long name says otherwise, or no time a coefficient.

    Args:
        field: with its name and attributes.

    Returns:
        A quantity and why; None where the name means what it says.
    """
    from subgrid.data.variables.units import is_number

    quantity, pattern = OTHER_READINGS.get(str(field.name or "").lower(), ("", ""))
    units, title = (str(field.attrs.get(key, "")) for key in ("units", "long_name"))
    if not quantity or not is_number(units):
        return None
    if re.search(pattern, title.lower()):
        return quantity, f"its name, {field.name!r}, and its long name, {title!r}"
    if quantity == "other" and field.ndim == 2 and "humid" not in title.lower():
        return (
            quantity,
            f"its name, {field.name!r}, in {units!r} may be a coefficient of determination, as it has no time",
        )
    return None


def _words(title: str) -> str:
    """In small letters, one blank between words."""
    return " ".join(re.sub(r"[_\-–,;:/()\[\]]", " ", title.lower()).split())
