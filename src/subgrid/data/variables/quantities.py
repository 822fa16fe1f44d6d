"""What a variable is, decided once: the table of quantities, and the rules by which a variable is found in it.

Units, bounds, transforms, the way in which it changes with climate, scores and messages all follow from the quantity.
It is decided from what the user says, else from the attribute `subgrid_quantity` that an output of Subgrid carries, the
CF standard name, the name together with the units, and the long name; and it is stored with every model.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

import xarray as xr

from subgrid.data.variables.long_names import is_change, is_deviation, other_reading, quantities_in

TransformName: TypeAlias = Literal["none", "censored root", "root", "arcsine"]
Extreme: TypeAlias = Literal["maximum", "minimum"]
Bounds: TypeAlias = tuple[float | None, float | None]
OPEN: Bounds = (None, None)
GIVEN, WRITTEN = "as it was given", "as Subgrid wrote it"
"""Why a variable is taken to be something, where that is no reading of its metadata."""
QUANTITY_ATTRIBUTE, BOUNDS_ATTRIBUTE = "subgrid_quantity", "subgrid_bounds"
"""Of a canonical variable and of every output: what it was taken to be, so that it is never guessed again."""


@dataclass(frozen=True)
class Quantity:
    """A kind of variable and all that follows from it.

    Args:
        units: canonical units; None where values keep those of the file.
        bounds: lowest and highest possible value in canonical units, None for an open end.
        plausible: what the smallest and largest values of an archive may be; beyond, its units are wrong.
        transform: to the scale on which fields are modelled.
        change: how it changes with climate.
        standard_names: a pattern of the CF standard names, without their modifiers.
        names: a pattern of names in well-known archives, in lower case, without suffixes such as "Adjust".
        about: a word or two for `inspect` and messages, with its article.
    """

    units: str | None
    bounds: Bounds
    plausible: tuple[float, float] | None
    transform: TransformName
    change: Literal["additive", "multiplicative"]
    standard_names: str
    names: str
    about: str


QUANTITIES: dict[str, Quantity] = {
    "temperature difference": Quantity(
        "K", OPEN, (-150.0, 150.0), "none", "additive",
        r".*temperature.*(anomaly|difference|excess)|change_(over_time_)?in_.*temperature.*|dew_point_depression",
        r".*(tas|temp|temperature)_?(anom\w*|diff\w*|delta)|tasanom\w*|tempanomaly",
        "a temperature difference",
    ),
    "temperature range": Quantity(
        "K", (0.0, None), (0.0, 100.0), "root", "multiplicative",
        r".*temperature_range", r"dtr|tasrange|diurnal_?temp\w*_range|daily_?temp\w*_range|trange",
        "a temperature range",
    ),
    "temperature": Quantity(
        "K", (0.0, None), (150.0, 350.0), "none", "additive",
        r"(?!.*potential).*temperature(_(at|in|of)_.*)?",
        r"tas(max|min)?|ta|ts|t|tos|thetao|to|sst|skt|t2m?|2t|2d|d2m|mx2t\d*|mn2t\d*|t[gnx]|tdps|tmp|tm[nxp]|tmm[nx]|tave?"
        r"|tavg|tdmean|t_2m|t2|tsk|tslb|tsl|stl[1-4]|air|t(max|min|mean)(_2m|_stat)?|temp\d?|trefht(mx|mn)?|tmp_?2m"
        r"|t2m_?(max|min|mean)|(air|surface|skin|soil|sea|water|mean|max|min)_?temp(_?2m)?"
        r"|\w*temperature(_?(2m|max|min|mean|max_2m|min_2m|mean_2m))?",
        "a temperature",
    ),
    "precipitation": Quantity(
        "mm day-1", (0.0, None), (0.0, 3000.0), "censored root", "multiplicative",
        r"(?!.*(number|probability|duration|ratio|_days|due_to|heat)).*(precipitation|rainfall|snowfall)(?!.*_in_).*",
        r"pr|pr(c|l|sn)|r[rf]|tp|tprate|avg_tprate|mtpr|lsrr|cp|lsp|sf|pcp|ppt|pre|prcp|prec|prate|rain(c|file)?|(i_)?rainnc"
        r"|tot_pr(ec)?|rainf(_f)?(_tavg)?|snowf|prec_acc_\w+|acpc\w*|prect(mms|mx|ot|otcorr)?|prec[cl]|tp\d+|apcp(_\w+)?|rrr|rg"
        r"|cmorph|(daily|monthly|hourly)_(rain|precip)|(?!.*(precipitable|days|hours|count|number|prob|type|fraction|ratio"
        r"|quality|error|source|weight|index|mask|flag|_std|stdev|uncert|cover|depth)).*(precip|rainfall|snowfall)\w*",
        "precipitation",
    ),
    "vapour pressure": Quantity(
        "Pa", (0.0, None), (0.0, 15_000.0), "root", "multiplicative",
        r"water_vapor_(partial_)?(pressure|saturation_deficit)_in_air|.*vapou?r_pressure.*", r"vap|vp|vpd(min|max)?",
        "a vapour pressure",
    ),
    "pressure": Quantity(
        "Pa", (0.0, None), (0.0, 120_000.0), "none", "additive",
        r".*(air_pressure|surface_pressure)(_at_.*)?",
        r"ps|psl|slp|msl|mslp|pmsl|sp|pp|psfc|pres(sure)?(_msl)?|prmsl",
        "a pressure",
    ),
    "relative humidity": Quantity(
        "%", (0.0, 100.0), (-1.0, 130.0), "arcsine", "additive",
        r"relative_humidity",
        r"hur(s|smin|smax)?|rh(\d+m?|ref(ht)?|_?t?(max|min|mean|avg))?|rhum|r2|2r|hu|rm(ax|in)|rhs(max|min)?|relhum\w*"
        r"|relative_?humidity\w*",
        "a relative humidity",
    ),
    "fraction": Quantity(
        "%", (0.0, 100.0), (-1.0, 101.0), "arcsine", "additive",
        r"(.*_)?area_fraction(_in_.*)?|land_binary_mask|.*_cover|surface_albedo|duration_of_sunshine_fraction",
        r"clt|[tlmh]cc|cc|ci|cl[hml]t?|sic(onc)?|snc|lsm|sftlf|frland|cld(tot|low|med|mid|hgh)?|clc[tlmh]|tcdc(_\w+)?|aice"
        r"|al|fal|albedo|.*(cloud|ice|snow|land)_?(cover|fraction|area_fraction)",
        "a fraction",
    ),
    "mass fraction": Quantity(
        "kg kg-1", (0.0, 1.0), (-1e-3, 1.0), "root", "multiplicative",
        r"specific_humidity|humidity_mixing_ratio|mass_fraction_of_.*_in_air|surface_specific_humidity",
        r"hus|huss|sph|shum|hu|q2?m?|qas|spfh\w*|specific_?humidity\w*|\w*mass_fraction", "a mass fraction",
    ),
    "speed": Quantity(
        "m s-1", (0.0, None), (0.0, 150.0), "root", "multiplicative",
        r"wind_speed.*|.*_wind_speed|(sea_water|sea_ice)_speed|.*_speed_of_gust",
        r"sfcwind(max)?|wsgs(max)?|wsp(d|eed)?(_?10m?)?|ws(\d+m?)?|fg|fx|ff|si10|si100|\w*10fg\d*|fg10|vs|wind_?speed\w*"
        r"|wind(10m)?|speed|sp_10m",
        "a speed",
    ),
    "velocity": Quantity(
        "m s-1", OPEN, (-200.0, 200.0), "none", "additive",
        r"(?!.*(stress|angle)).*(eastward|northward|upward|x|y)_(wind|sea_water_velocity|velocity|water_velocity)"
        r"|(?!.*angle).*_velocity",
        r"[uv]as|[uv]a|[uv]o?|[uv]10m?|10[uv]|100[uv]|[uv]100|[uv]wnd|[uv]_10m", "a velocity",
    ),
    "net radiation": Quantity(
        "W m-2", OPEN, (-2000.0, 2000.0), "none", "additive",
        r".*net_(downward|upward)_.*flux.*",
        r"rns|rls|rss|rtmt|rsns|rlns|ssr|str|tsr|ttr|netrad|f[sl]n(s|t|toa)c?", "net radiation",
    ),
    "radiation": Quantity(
        "W m-2", (0.0, None), (-20.0, 3000.0), "root", "multiplicative",
        r"(?!.*_net_).*(downwelling|upwelling|outgoing|incoming)_.*(shortwave|longwave|radiative|photon).*"
        r"|surface_(direct|diffuse)_.*shortwave.*",
        r"rs(ds|us|dt|ut)|rl(ds|us|ut)|s(s|t)rd|srad|qq|[du][sl]wrf(_\w+)?|swdown|lwdown|glw|tisr|fdir|rg|f[sl]dsc?|swgdn|lwgab"
        r"|(all|clr)sky_sfc_[sl]w_dwn", "radiation",
    ),
    "snow amount": Quantity(
        None, (0.0, None), None, "root", "multiplicative",
        r"surface_snow_amount|surface_snow_thickness|lwe_thickness_of_surface_snow_amount|.*snow_thickness|snow_depth",
        r"snw|snd|swe|snow_?depth|snowh|snow", "an amount of snow",
    ),
    "other": Quantity(None, OPEN, None, "none", "additive", r"(?!)", r"(?!)", "not known to Subgrid"),
}  # fmt: skip
"""In the order in which they are tried. Canonical units are those of CMIP, but mm day-1 for precipitation. Limits of
what is plausible: records at the surface are 184 and 330 K, 1825 mm in a day and 1085 hPa; the lower limit of
temperature leaves room for the stratosphere, that of pressure for upper levels, models supersaturate air to 110 %."""
SUFFIXES = r"(_?(adjust|bc|qdm|corr(ected)?|daily|monthly|mean|avg|day))+$"
"""Of names: CORDEX appends "Adjust" to what is bias adjusted, others what was averaged."""
EXTREMES: dict[Extreme, re.Pattern[str]] = {
    "maximum": re.compile(r".*max(imum)?(_?adjust|_?2m|_?10m|_stat)?|tx|tmx|fx|mx2t\d*|i?10fg\d*|fg10|trefhtmx", re.I),
    "minimum": re.compile(r".*min(imum)?(_?adjust|_?2m|_?10m|_stat)?|tn|tmn|mn2t\d*|trefhtmn", re.I),
}
"""Of names: those of extremes of a day, of whatever quantity, in well-known archives."""
SAYS_MORE = {
    ("temperature difference", "temperature"),
    ("temperature range", "temperature"),
    ("net radiation", "radiation"),
}
"""Readings of a name that stand beside one of a long name, which says the same in fewer words."""
DERIVED = re.compile(r"(.*_)?(tendency|product|square|integral|angle|derivative|covariance)_.*")
"""CF standard names of what is made of variables: none of their units or bounds."""
MODIFIERS = {"number_of_observations", "detection_minimum", "status_flag", "standard_error", "quality_flag"}
"""Of CF standard names, after a space: the variable is about another one."""


@dataclass(frozen=True)
class Described:
    """What a variable is taken to be, and why; stored with every model.

    Args:
        quantity: a key of `QUANTITIES`.
        because: what said so, in words.
        bounds: lowest and highest possible value, canonical units, None for an open end.
        transform: to the scale on which fields are modelled.
    """

    quantity: str
    because: str
    bounds: Bounds
    transform: TransformName

    @property
    def kind(self) -> Quantity:
        """All that follows from the quantity."""
        return QUANTITIES[self.quantity]

    @property
    def is_told(self) -> bool:
        """Whether the user or an earlier run of Subgrid said what it is."""
        return self.because in (GIVEN, WRITTEN)

    @property
    def attributes(self) -> dict[str, Any]:
        """What a canonical variable carries of it: the quantity, and bounds where they are not the quantity's own."""
        own = {} if self.bounds == self.kind.bounds else {BOUNDS_ATTRIBUTE: _written(self.bounds)}
        return {QUANTITY_ATTRIBUTE: self.quantity, **own}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Described":
        """What `as_dict` gave."""
        return cls(**{**stored, "bounds": tuple(stored["bounds"])})


def describe(field: xr.DataArray, *, quantity: str | None = None, bounds: Bounds | None = None) -> Described:
    """What a variable is taken to be.

    Args:
        field: with its name and attributes; nothing of its values is read.
        quantity: what it is, if the user says so: a key of `QUANTITIES`.
        bounds: its lowest and highest possible value, canonical units, if the user says so.

    Returns:
        The quantity and what follows.

    Raises:
        ValueError: for a quantity that does not exist, or bounds that do not ascend.

    Examples:
        >>> describe(dataset.hurs).bounds
        (0.0, 100.0)
    """
    attributes = field.attrs
    if quantity is not None:
        found = Described(require_quantity(quantity), GIVEN, OPEN, "none")
    elif str(attributes.get(QUANTITY_ATTRIBUTE, "")) in QUANTITIES:
        found = Described(str(attributes[QUANTITY_ATTRIBUTE]), WRITTEN, OPEN, "none")
    else:
        found = _from_metadata(field)
    found = replace(found, bounds=found.kind.bounds, transform=found.kind.transform)
    stored = attributes.get(BOUNDS_ATTRIBUTE)
    given = bounds if bounds is not None else None if stored is None else _read(str(stored))
    return found if given is None else _with_bounds(found, given)


def describe_name(name: str) -> Described:
    """What a variable of a name alone would be, for models of before its quantity was stored; "other" if unknown."""
    return describe(xr.DataArray(0.0, name=name))


def extreme_of(name: str) -> Extreme | None:
    """Which extreme of a day a name stands for in well-known archives; None for all other names."""
    return next((extreme for extreme, pattern in EXTREMES.items() if pattern.fullmatch(name)), None)


def require_quantity(name: str) -> str:
    """The name, if it is one of `QUANTITIES`.

    Raises:
        ValueError: with all names and the nearest one, if it is not.
    """
    if name in QUANTITIES:
        return name
    import difflib

    near = difflib.get_close_matches(name, QUANTITIES, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"there is no quantity {name!r}; there are {', '.join(map(repr, QUANTITIES))}{meant}")


def _from_metadata(field: xr.DataArray) -> Described:
    standard_name, *modifiers = str(field.attrs.get("standard_name", "")).strip().lower().split() or [""]
    if MODIFIERS & {*modifiers} or DERIVED.fullmatch(standard_name):
        return Described("other", f"standard_name {field.attrs['standard_name']!r}", OPEN, "none")
    by_standard = next((q for q, kind in QUANTITIES.items() if re.fullmatch(kind.standard_names, standard_name)), None)
    if by_standard is not None:
        found = Described(by_standard, f"standard_name {standard_name!r}", OPEN, "none")
        return _as_range(found, field)
    if (other := other_reading(field)) is not None:
        return Described(*other, OPEN, "none")
    named, spoken = _by_name(field), None if "_" in standard_name else _by_long_name(field)
    found = named if spoken is None else _of_two(named, spoken, field)
    return _as_range(_as_change(found, field), field)


def _by_name(field: xr.DataArray) -> Described:
    """What the name of a variable says, as far as its units may be those."""
    bare = re.sub(SUFFIXES, "", str(field.name or "").lower()) or str(field.name).lower()
    for name in dict.fromkeys((str(field.name or "").lower(), bare)):
        matching = [q for q, kind in QUANTITIES.items() if re.fullmatch(kind.names, name)]
        fitting = [q for q in matching if _fits(field, q)] or (matching if _has_unknown_units(field) else [])
        if fitting:
            by_units = ", and units" if len(matching) > 1 or field.attrs.get("standard_name") else ""
            return Described(fitting[0], f"its name, {field.name!r}{by_units}", OPEN, "none")
        if matching:
            because = f"its name, {field.name!r}, says {QUANTITIES[matching[0]].about}, and its units do not"
            return Described("other", because, OPEN, "none")
    return Described("other", "no standard name, name or long name that Subgrid knows", OPEN, "none")


def _by_long_name(field: xr.DataArray) -> Described | None:
    """What the long name of a variable says plainly, as far as its units may be those; None where it says nothing."""
    title = str(field.attrs.get("long_name", ""))
    fits = [q for q in quantities_in(title) if _fits(field, q) or _has_unknown_units(field)]
    return Described(fits[0], f"its long name, {title!r}", OPEN, "none") if fits else None


def _of_two(named: Described, spoken: Described, field: xr.DataArray) -> Described:
    """The long name, which is written for readers, goes before the name, unless the name says the same and more."""
    if named.quantity == spoken.quantity or (named.quantity, spoken.quantity) in SAYS_MORE:
        return named
    if named.quantity == "other":
        return spoken
    return replace(spoken, because=f"{spoken.because}, though its name, {field.name!r}, says {named.kind.about}")


def _as_change(found: Described, field: xr.DataArray) -> Described:
    """A change of what has bounds has none of them; that of a temperature is a quantity of its own (`_as_range`)."""
    title = str(field.attrs.get("long_name", ""))
    if found.quantity == "temperature" or found.kind.bounds == OPEN or not is_change(title):
        return found
    other = "temperature difference" if found.quantity == "temperature range" else "other"
    return Described(other, f"its long name, {title!r}, speaks of a change of {found.kind.about}", OPEN, "none")


def _as_range(found: Described, field: xr.DataArray) -> Described:
    """A temperature whose cell methods or long name speak of a range or of anomalies is a difference."""
    if found.quantity != "temperature":
        return found
    methods, title = (str(field.attrs.get(key, "")).lower() for key in ("cell_methods", "long_name"))
    if re.search(r":\s*range\b", methods) or re.search(r"\b(diurnal|daily)\b.*\brange\b", title):
        return replace(found, quantity="temperature range", because=f"{found.because}, and that it is a range")
    if re.search(r":\s*standard_deviation\b", methods) or is_deviation(title):
        return replace(found, quantity="temperature range", because=f"{found.because}, and that it is a spread")
    if re.search(r"\banomal", methods) or is_change(title):
        return replace(found, quantity="temperature difference", because=f"{found.because}, and that it is an anomaly")
    return found


def _fits(field: xr.DataArray, quantity: str) -> bool:
    """Whether the units of a file could be those of a quantity."""
    from subgrid.data.variables.units import can_be

    units = str(field.attrs.get("units", ""))
    if quantity in ("relative humidity", "fraction") and re.search(r"g\b|mol|m\W*3", units):
        return False  # kg/kg and the like are numbers too, and shares of something else
    return can_be(units, quantity)


def _has_unknown_units(field: xr.DataArray) -> bool:
    """Whether the units of a file are none: then its name stands, and the units are refused where they are read."""
    from subgrid.data.variables.unit_spellings import is_unit

    return not is_unit(str(field.attrs.get("units", "")))


def _with_bounds(found: Described, bounds: Bounds) -> Described:
    low, high = bounds
    if low is not None and high is not None and not low < high:
        raise ValueError(f"bounds must ascend, got {low:g} and {high:g}.")
    if bounds == found.bounds:
        return found
    if found.transform == "censored root" and low == 0:
        return replace(found, bounds=bounds)
    names: dict[tuple[bool, bool], TransformName] = {
        (False, False): "none", (True, False): "root", (False, True): "root", (True, True): "arcsine",
    }  # fmt: skip
    return replace(found, bounds=bounds, transform=names[low is not None, high is not None])


def _written(bounds: Bounds) -> str:
    return " ".join("none" if edge is None else f"{edge:.9g}" for edge in bounds)


def _read(text: str) -> Bounds:
    low, high = (None if edge == "none" else float(edge) for edge in text.split())
    return low, high
