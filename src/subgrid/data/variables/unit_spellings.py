"""Units as archives spell them: CF and UDUNITS, the words of well-known archives, and nothing that no one wrote.

A text is read as factors, each a name with an exponent, joined by spaces, ".", "*", "/" or "per". Every name by itself
is looked up, first among the spellings below, then among the units of pint and cf-xarray. A temperature in several
words ("degrees C", "deg Celsius") is one name: read as a product it would be an angle times a charge.
"""

import functools
import logging
import re
from dataclasses import dataclass
from typing import Any

DIMENSIONLESS = (
    r"|1|1\.0|-+|none|null|n/a|unitless|dimensionless|non-dimensional|fractions?|proportion|ratio"
    r"|(fractions?\s*)?[\[(]?0\s*(-|to|,|\.\.)\s*1[\])]?(\s*fractions?)?|fractions? of (1|one|unity)"
)
"""Texts, in lower case, of pure numbers; ERA5 has "(0 - 1)", CMIP "1", others nothing or a word."""
OF_WATER = r"\s*\(?\s*(of\s+)?(liquid\s+)?(water|w\.?\s?e\.?q?\.?|lwe)(\s+(equivalent|eq\.?))?\s*\)?$"
"""What a depth is of: "m of water equivalent" in ERA5."""
TEMPERATURES = {
    "celsius": r"(deg(ree)?s?[\s_.]*|[°ºo]\s*)(c|celsius|celcius|centigrade)|celsius|celcius|centigrade|[cC]"
    r"|(c|celsius|celcius|centigrade)\s+deg(ree)?s?",
    "fahrenheit": r"(deg(ree)?s?[\s_.]*|[°ºo]\s*)(f|fahrenheit)|fahrenheit|F|(f|fahrenheit)\s+deg(ree)?s?",
    "kelvin": r"(deg(ree)?s?[\s_.]*|[°º]\s*)?(kelvins?|k)",
}
"""Whole texts, but for case; "C" is °C, as no archive of fields holds a charge."""
SPELLINGS: dict[str, str] = {
    "millimeter": "mm millimeter millimeters millimetre millimetres mmh2o mm_h2o",
    "centimeter": "cm centimeter centimeters centimetre centimetres",
    "meter": "m meter meters metre metres gpm mtr",
    "kilometer": "km kilometer kilometers kilometre kilometres",
    "inch": "in inch inches",
    "foot": "ft foot feet",
    "kilogram": "kg kilogram kilograms kilogramme kgs",
    "gram": "g gram grams gr",
    "second": "s sec secs second seconds",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "d day days dy",
    "common_month": "month months mon mo",
    "common_decade": "decade decades",
    "common_year": "year years yr yrs a annum",
    "pascal": "pa pascal pascals",
    "hectopascal": "hpa hectopascal hectopascals mb mbar mbars millibar millibars",
    "kilopascal": "kpa kilopascal kilopascals",
    "bar": "bar bars",
    "millimeter_Hg": "mmhg",
    "inch_Hg": "inhg",
    "standard_atmosphere": "atm atmosphere atmospheres",
    "watt": "w watt watts",
    "joule": "j joule joules",
    "liter": "l liter liters litre litres",
    "knot": "kt kts kn knot knots",
    "kilometer_per_hour": "kmh kph kmph",
    "mile_per_hour": "mph",
    "kelvin": "degc deg_c degreec degree_c degrees_c degk k kelvin celsius",
    "percent": "% percent pct percentage per_cent",
    "dimensionless": "ratio fraction",
    "common_okta": "okta oktas octa octas eighth eighths",
    "common_tenth": "tenth tenths",
    "ppm": "ppm ppmv",
}
"""pint's name, and spellings in lower case; exact names of pint come after them. In a product a °C is a K. A common
month is a twelfth of the mean Gregorian year."""
BY_NAME = {name: unit for unit, names in SPELLINGS.items() for name in names.split()}
GLUED = {
    "mmday": "mm day-1",
    "mmday-1": "mm day-1",
    "mmd-1": "mm day-1",
    "mmh-1": "mm h-1",
    "mms-1": "mm s-1",
    "ms-1": "m s-1",
    "kmh-1": "km h-1",
    "kmhr-1": "km h-1",
    "wm-2": "W m-2",
    "jm-2": "J m-2",
    "kgm-2": "kg m-2",
    "kgm-2s-1": "kg m-2 s-1",
    "kgkg-1": "kg kg-1",
    "gkg-1": "g kg-1",
    "mm hg": "mmHg",
    "mm of hg": "mmHg",
    "in hg": "inHg",
    **dict.fromkeys(("%rh", "% rh", "% (rh)", "rh%", "percent rh", "percent (%)", "% (0-100)", "0-100 %"), "%"),
}
"""Texts, in lower case and with plain exponents, that are one unit: written without a space, or of several words."""
CASE_MATTERS = frozenset({"M", "G", "D", "S", "H", "MM", "MB", "MW", "MJ"})
"""Symbols whose capital letters are another unit: alone among small letters they are not read as the small ones."""
EXOTIC = frozenset({"ms", "DU", "ly", "Da", "au", "pc", "Gy", "T", "ha", "u", "amu", "da"})
"""Names that archives use for something else than pint does: "ms-1" for m s-1, Dobson units, langleys."""
PREFIXES = frozenset({"", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "mega", "giga", "tera"})
"""Of pint's, those that archives write: "RH" is no rontohour."""
PREFIXED = {"MJ": "megajoule", "MW": "megawatt"}
MEAN_YEAR = 365.2425
"""Days of the mean Gregorian year."""
PLAIN_EXPONENT = re.compile(r"(?:\*\*|\^)\s*[({]?([+-]?\d+)[)}]?")
PERIOD = re.compile(r"([^\W\d]+)-(\d+)")
"""After a number: "3h-1" of "mm 3h-1" is one over three hours."""
TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[^\W\d]+(?:_[^\W\d]+)*|%)|(?P<open>\()|(?P<close>\))"
    r"|(?P<operator>\*\*|[\^*/.·]|(?=[+-])))\s*"
)


class UnknownUnit(ValueError):
    """A text that is no unit."""


@dataclass(frozen=True)
class Unit:
    """A unit as `scale` times one of pint; an offset where it is a scale of temperature.

    Args:
        scale: a number in the text, such as the .1 of "0.1 mm".
        unit: of pint.
        offset: "celsius" or "fahrenheit" for temperatures that count from another zero than K; else None.
    """

    scale: float
    unit: Any
    offset: str | None = None

    @property
    def dimensionality(self) -> str:
        """Of pint, as text."""
        return str(self.unit.dimensionality)


@functools.cache
def parse_unit(text: str) -> Unit:
    """The unit that a text names.

    Args:
        text: the attribute "units" of a variable.

    Returns:
        The unit.

    Raises:
        UnknownUnit: for a text that is none.

    Examples:
        >>> parse_unit("degrees C").offset
        'celsius'
    """
    words = _plain(text)
    if re.fullmatch(DIMENSIONLESS, words.lower()):
        return Unit(1.0, registry().Unit(""))
    number, rest = _leading_number(words)
    for name, pattern in TEMPERATURES.items():
        if re.fullmatch(pattern, rest, re.IGNORECASE):
            degree = 5 / 9 if name == "fahrenheit" else 1.0
            return Unit(number * degree, registry().Unit("kelvin"), None if name == "kelvin" else name)
    if words.lower() in ("deg", "degree", "degrees"):
        return Unit(1.0, registry().Unit("degree"))
    rest = GLUED.get(PLAIN_EXPONENT.sub(r"\1", rest.lower()), rest)
    if len(rest) > 1 and rest == rest.upper() and rest not in PREFIXED:  # GrADS and others write in capitals
        rest = rest.lower()
    product = _product(rest, text)
    return Unit(number * product.scale, product.unit)


def is_unit(text: str) -> bool:
    """Whether a text is a unit, which `parse_unit` takes."""
    try:
        parse_unit(text)
    except UnknownUnit:
        return False
    return True


def same_unit(first: str, second: str) -> bool:
    """Whether two spellings are of one unit; False where one is not known.

    Args:
        first: a unit as an archive spells it.
        second: another.

    Returns:
        True if they are equal.

    Examples:
        >>> same_unit("m s**-1", "m/s")
        True
    """
    try:
        one, other = parse_unit(first), parse_unit(second)
    except UnknownUnit:
        return False
    if one.offset != other.offset or one.dimensionality != other.dimensionality:
        return False
    factor = float(registry().Quantity(one.scale, one.unit).to(other.unit).magnitude)
    return abs(factor / other.scale - 1) < 1e-9


def is_angle(unit: Unit) -> bool:
    """Whether a unit is one of angles, which no quantity of the table has.

    Args:
        unit: from `parse_unit`.

    Returns:
        True for degrees and radians.
    """
    return str(unit.unit) in ("degree", "radian")


ZEROS = {None: 0.0, "celsius": 273.15, "fahrenheit": 459.67 * 5 / 9}
"""In kelvin, of the zero of each scale of temperature."""


def between_units(first: str, second: str) -> tuple[float, float]:
    """From values in one unit to values in another: v ↦ factor · v + offset.

    Args:
        first: the unit that values are in.
        second: the unit that they are to be in.

    Returns:
        factor and offset.

    Raises:
        ValueError: for a unit that is not known, or two of different dimensions.

    Examples:
        >>> between_units("degC", "K")
        (1.0, 273.15)
    """
    one, other = parse_unit(first), parse_unit(second)
    if one.dimensionality != other.dimensionality:
        raise ValueError(f"{first!r} is no unit of what {second!r} is one of.")
    size = float(registry().Quantity(one.scale, one.unit).to(other.unit).magnitude)
    return size / other.scale, (ZEROS[one.offset] - ZEROS[other.offset]) / other.scale


@functools.cache
def registry() -> Any:
    """pint's units with those of CF, which cf-xarray adds; no warnings of redefinitions, which are meant."""
    logger = logging.getLogger("pint.util")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from cf_xarray.units import units

        units.define(f"common_year = {MEAN_YEAR} * day")
        units.define(f"common_month = {MEAN_YEAR / 12} * day")
        units.define("common_okta = 0.125")
        units.define("common_tenth = 0.1")
        units.define(f"common_decade = {10 * MEAN_YEAR} * day")
    finally:
        logger.setLevel(level)
    return units


def _plain(text: str) -> str:
    """Without decoration: brackets around the whole, typographic exponents, what a depth is of."""
    words = text.strip().translate(str.maketrans("⁻−–⁰¹²³⁴⁵⁶⁷⁸⁹·µ\u00a0", "---0123456789.u "))
    words = words.replace("℃", "°C").replace("℉", "°F")
    words = re.sub(r"\b(k?W)-(hr?|hours?)\b", r"\1 \2", words)  # of energy, as in "kW-hr/m^2/day"
    if re.fullmatch(r"\[[^\[\]]*\]", words) and not re.fullmatch(DIMENSIONLESS, words.lower()):
        words = words[1:-1].strip()
    return re.sub(OF_WATER, "", words, flags=re.IGNORECASE).strip()


def _leading_number(words: str) -> tuple[float, str]:
    """A scale in front, as in ".1 degC" or "tenths of mm", and the rest; 1 where there is none."""
    if words.lower().startswith("tenths of "):
        return 0.1, words[len("tenths of ") :]
    match = re.match(r"(\d*\.?\d+(?:[eE][+-]?\d+)?+)\s*\*?\s*(?=[^\W\d])", words)
    return (1.0, words) if match is None else (float(match.group(1)), words[match.end() :])


def _product(words: str, text: str) -> Unit:
    """Factors from the left; what follows a "/" or "per" divides, one factor only, as in UDUNITS."""
    factors, rest = _factors(words, text)
    if rest:
        raise UnknownUnit(text)
    above = [str(each.unit) for each, exponent in factors if exponent > 0 and str(each.unit) != "dimensionless"]
    if len(above) > len(set(above)):
        raise UnknownUnit(text)  # "%%" or "mm mm"
    scale, unit = 1.0, registry().Unit("")
    for each, exponent in factors:
        scale *= each.scale**exponent
        unit = unit * each.unit**exponent
    return Unit(scale, unit)


def _factors(words: str, text: str) -> tuple[list[tuple[Unit, int]], str]:
    found: list[tuple[Unit, int]] = []
    rest, sign = words, 1
    while rest and not rest.startswith(")"):
        match = TOKEN.match(rest)
        if match is None or match.end() == 0:
            raise UnknownUnit(text)
        kind, token = match.lastgroup, match.group(match.lastgroup or 0)
        rest = rest[match.end() :]
        if kind == "operator" or (kind == "name" and token.lower() == "per"):
            if token in ("**", "^"):
                raise UnknownUnit(text)
            sign = -1 if token in ("/", "per", "Per", "PER") else sign
            continue
        if kind == "open":
            inner, rest = _factors(rest, text)
            if not rest.startswith(")"):
                raise UnknownUnit(text)
            exponent, rest = _exponent(rest[1:])
            found += [(unit, sign * exponent * e) for unit, e in inner]
        elif kind == "number" and found and sign > 0 and (period := PERIOD.match(rest)):
            rest, length = rest[period.end() :].lstrip(), -int(period.group(2))
            found += [(Unit(float(token), registry().Unit("")), length), (_named(period.group(1), text), length)]
        elif kind == "number":
            exponent, rest = _exponent(rest) if rest.startswith(("^", "**")) else (1, rest)
            found.append((Unit(float(token), registry().Unit("")), sign * exponent))
            if sign < 0 and re.match(r"[^\W\d]", rest):  # "mm/3hr": three hours divide
                continue
        else:
            exponent, rest = _exponent(rest)
            found.append((_named(token, text), sign * exponent))
        sign = 1
    return found, rest


def _exponent(rest: str) -> tuple[int, str]:
    match = re.match(r"(?:\s*(?:\^|\*\*)\s*[({]?|\{|)([+-]?\d+)[)}]?(?!\d|\.\d)(?![^\W\d]+-\d)\s*", rest)
    return (1, rest.lstrip()) if match is None else (int(match.group(1)), rest[match.end() :])


def _named(token: str, text: str) -> Unit:
    """One name: among our spellings, then exactly among pint's."""
    if token in EXOTIC:
        raise UnknownUnit(text)
    name = PREFIXED.get(token) or BY_NAME.get(token)
    if name is None and token in CASE_MATTERS:
        raise UnknownUnit(text)
    name = name or BY_NAME.get("degc" if token == "C" else token.lower())
    if name is None and (re.fullmatch(r"[a-z]|deg(ree)?s?", token)):
        raise UnknownUnit(text)  # pint: the speed of light and the like; an angle, beside what may mean °C
    try:
        unit = registry().Unit(name or token)
        readings = registry().parse_unit_name(name or token)
    except Exception as error:  # pint has a dozen kinds for what it cannot read
        raise UnknownUnit(text) from error
    if readings and readings[0][0] not in PREFIXES:
        raise UnknownUnit(text)
    return Unit(1.0, unit)
