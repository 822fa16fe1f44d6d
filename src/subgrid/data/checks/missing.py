"""Values that a file itself says are missing: valid ranges, and fill values that decoding leaves behind.

Decoding takes `_FillValue` and `missing_value` of the type of the data. What is left are values outside of `valid_min`,
`valid_max` and `valid_range`, fill values written as text or in another precision, and those under names that CF does
not have. Attributes that speak of values as they are in the file then go: what is converted would be masked by them.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.fields import TEXT_KINDS, DataError

OF_FILE_VALUES = re.compile(
    r"_?fill_?value|missing_value|_?no_?data(_value)?|undef|scale_factor|add_offset|_unsigned|"
    r"flag_(values|masks|meanings)|((un)?packed_)?(valid|actual|data)_(range|min|max|missing_value)",
    re.IGNORECASE,
)
"""Attributes that speak of values as they are in the file."""
FILL_NAMES = re.compile(r"_?fill_?value|missing_value|_?no_?data(_value)?|undef", re.IGNORECASE)
SINGLE = 4 * float(np.finfo(np.float32).eps)
"""To which part values agree that went through float32."""
EMPTY_WORDS = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "missing", "m"})
"""Of values written as text, in lower case: none."""
NOTHING = "none"
"""As a value that is given as missing: nothing is but what the file declares."""


class NoNumber(ValueError):
    """A text among the values that is no number; its argument is the text."""


@dataclass(frozen=True)
class Packing:
    """value = scale · packed + shift: how a file keeps the values of a variable.

    Args:
        dtype: of the values in the file.
        scale: its attribute "scale_factor".
        shift: its attribute "add_offset".
        declared: fill values, as they are in the file, that its attributes name and decoding left behind.
    """

    dtype: np.dtype
    scale: float = 1.0
    shift: float = 0.0
    declared: tuple[float, ...] = ()

    @property
    def is_packed(self) -> bool:
        """Whether the file holds other numbers than those that are read."""
        return self.scale != 1.0 or self.shift != 0.0

    @property
    def is_integer(self) -> bool:
        """Whether the file holds whole numbers."""
        return self.dtype.kind in "iu"

    def unpacked(self, value: float) -> float:
        """What a number in the file is read as."""
        return self.scale * value + self.shift

    def packed(self, value: float) -> float:
        """The number in the file that is read as a value."""
        return (value - self.shift) / self.scale


def packing_of(field: xr.DataArray) -> Packing:
    """How the file keeps a decoded variable; of data that come from no file, their type."""
    encoding = field.encoding
    dtype = np.dtype(encoding.get("dtype", field.dtype))
    if str(encoding.get("_Unsigned", "false")).lower() == "true" and dtype.kind == "i":
        dtype = np.dtype(f"u{dtype.itemsize}")
    scale, shift = (float(encoding.get(key, default)) for key, default in (("scale_factor", 1.0), ("add_offset", 0.0)))
    return Packing(dtype, scale or 1.0, shift, _left_behind(field, dtype))


def says_missing(field: xr.DataArray, packing: Packing) -> bool:
    """Whether a file says that values are missing which decoding did not see, so that `without_missing` has work."""
    return bool(packing.declared) or any(OF_FILE_VALUES.fullmatch(str(name)) for name in field.attrs)


def without_missing(
    field: xr.DataArray, packing: Packing, *, given: Sequence[float | str] = ()
) -> tuple[xr.DataArray, tuple[str, ...]]:
    """NaN where a file says that values are missing and decoding did not see it.

    Args:
        field: decoded, in the units of the file, its encoding that of the file.
        packing: how the file keeps it.
        given: values that are missing besides, as they are in the file; texts, where it holds text.

    Returns:
        The field without attributes that speak of values as they are in the file, lazily where it is lazy; and
            sentences on what was taken as missing or left out.

    Raises:
        DataError: for a text that is given as missing where the file holds numbers.

    Examples:
        >>> without_missing(dataset.tmax, packing_of(dataset.tmax))[1]
        ('tmax: values outside -90 to 50 degC are missing, by its valid_range',)
    """
    notes, values = [], field
    texts = [each for each in given if isinstance(each, str)]
    numbers = [each for each in given if not isinstance(each, str)]
    if field.dtype.kind in TEXT_KINDS:
        none = EMPTY_WORDS.union(text.strip().lower() for text in texts)
        values = xr.apply_ufunc(
            _numbers, field, kwargs={"none": none}, dask="parallelized", output_dtypes=[np.float64], keep_attrs=True
        )
        notes.append(f"{field.name}: numbers written as text are read as numbers")
    elif wrong := [text for text in texts if text != NOTHING]:
        raise DataError(
            f"variables.{field.name}.missing = {wrong[0]!r}: it is a number or a list of numbers, such as -9999, where "
            "the file holds numbers; or 'none', if only what the file declares is missing."
        )
    for number in dict.fromkeys((*packing.declared, *numbers)):
        values = values.where(abs(values - packing.unpacked(number)) > _tolerance(number, packing))
        why = "as given" if number in numbers else "as its attributes say"
        notes.append(f"{field.name}: {number:.9g} is missing, {why}")
    values, of_range = _within_valid_range(values, packing)
    stale = [str(name) for name in values.attrs if OF_FILE_VALUES.fullmatch(str(name))]
    left_out = [name for name in stale if not name.startswith("valid_")]
    if left_out:
        of_range = (*of_range, f"{field.name}: {', '.join(left_out)} left out: of values as they are in the file")
    return values.assign_attrs(field.attrs).pipe(_without, stale), (*notes, *of_range)


def without_ranges(dataset: xr.Dataset) -> xr.Dataset:
    """Coordinates without attributes that speak of values as they are in the file: longitudes turn, times move."""
    for name in dataset.coords:
        stale = [each for each in dataset[name].attrs if OF_FILE_VALUES.fullmatch(str(each))]
        if stale:
            dataset = dataset.assign_coords({name: _without(dataset[name], stale)})
    return dataset


def _without(field: xr.DataArray, names: Sequence[Hashable]) -> xr.DataArray:
    kept = field.copy()
    kept.attrs = {name: value for name, value in field.attrs.items() if name not in names}
    return kept


def _within_valid_range(field: xr.DataArray, packing: Packing) -> tuple[xr.DataArray, tuple[str, ...]]:
    """NaN outside of the valid range, as CF 1.11, section 2.5.1, and the NUG have it."""
    found = {name: field.attrs[name] for name in ("valid_range", "valid_min", "valid_max") if name in field.attrs}
    if not found:
        return field, ()
    packed, unsure = _are_packed(found, packing)
    if unsure:  # a range leaves out what is no value, and not most of the others
        other = packed | dict.fromkeys(unsure, not packed[unsure[0]])
        own, others = (_n_inside(field, *_edges(found, packing, each)) for each in (packed, other))
        packed = other if others > 2 * own else packed
    low, high = _edges(found, packing, packed)
    named, units = " and ".join(found), field.attrs.get("units", "")
    if unsure:
        named += f", taken as {'packed numbers' if packed[unsure[0]] else 'unpacked values'}, as it is of neither type"
    if not low < high:
        return field, (f"{field.name}: {named} is not used, as {low:.9g} to {high:.9g} holds no value",)
    room = 0.5 * abs(packing.scale) if packing.is_integer else SINGLE * max(map(abs, (low, high)), key=_finite)
    room = room if np.isfinite(room) else 0.0
    inside = (field >= low - room) & (field <= high + room)
    words = f"outside {low:.9g} to {high:.9g} {units}" if np.isfinite([low, high]).all() else (
        f"below {low:.9g} {units}" if np.isfinite(low) else f"above {high:.9g} {units}"
    )  # fmt: skip
    masked = field.where(inside)
    return masked, (f"{field.name}: values {words.strip()} are missing, by its {named}",)


def _finite(value: float) -> float:
    return value if np.isfinite(value) else -1.0


def _n_inside(field: xr.DataArray, low: float, high: float) -> int:
    """Values within a range, of the first, the middle and the last slice: of a long archive no more is read."""
    dim, n = field.dims[0], field.shape[0]
    some = field.isel({dim: sorted({0, n // 2, n - 1})})
    return int(((some >= low) & (some <= high)).sum())


def _edges(found: Mapping[str, Any], packing: Packing, packed: Mapping[str, bool]) -> tuple[float, float]:
    """Lowest and highest valid value, unpacked."""
    if "valid_range" in found:
        edges = _unpacked(found["valid_range"], packing, packed["valid_range"])
        low, high = (edges[0], edges[-1]) if len(edges) == 2 else (np.nan, np.nan)
    else:
        low, high = -np.inf, np.inf
    descending = packing.scale < 0 and packed[next(iter(found))]
    for name, key in (("valid_min", "low"), ("valid_max", "high")):
        if name in found:
            edge = (_unpacked(found[name], packing, packed[name]) or [np.nan])[0]
            low, high = (max(low, edge), high) if (key == "low") != descending else (low, min(high, edge))
    return (high, low) if low > high and descending else (low, high)


def _unpacked(attribute: Any, packing: Packing, packed: bool) -> list[float]:
    """The numbers of a range in the units of what is read."""
    numbers = _numbers_of(attribute)
    if not packed:
        return numbers
    if packing.dtype.kind == "u":  # written as signed, as classic NetCDF has no other
        numbers = [n + 2.0 ** (8 * packing.dtype.itemsize) if n < 0 else n for n in numbers]
    return [packing.unpacked(n) for n in numbers]


def _are_packed(found: Mapping[str, Any], packing: Packing) -> tuple[dict[str, bool], list[str]]:
    """Which attributes of a range are packed numbers, and of which the type does not tell.

    Those of the type of packed data are packed, those of floating point beside packed integers are not (NUG). Those of
    neither type, such as the long integers that Python and Zarr write, are unpacked if the packed type can hold such
    values, unless most values would be lost by that.
    """
    if not packing.is_packed:
        return dict.fromkeys(found, False), []
    packed, unsure = {}, []
    for name, attribute in found.items():
        dtype, own = np.asarray(attribute).dtype, packing.dtype
        packed[name] = dtype.itemsize == own.itemsize and (dtype.kind == own.kind or {dtype.kind, own.kind} == {*"iu"})
        if not packed[name] and not (packing.is_integer and dtype.kind == "f"):
            unsure.append(name)
    if unsure:
        limits = np.iinfo(packing.dtype) if packing.is_integer else np.finfo(packing.dtype)
        lowest, highest = sorted((packing.unpacked(float(limits.min)), packing.unpacked(float(limits.max))))
        fits = all(lowest <= number <= highest for name in unsure for number in _numbers_of(found[name]))
        packed.update(dict.fromkeys(unsure, not fits))
    return packed, unsure


def _numbers_of(attribute: Any) -> list[float]:
    """The numbers of an attribute, which may be text."""
    if isinstance(attribute, bytes):
        attribute = attribute.decode(errors="replace")
    if isinstance(attribute, str):
        parts = re.split(r"[,;\s]+", attribute.strip("[](){} "))
        return [float(part) for part in parts if _is_number(part)]
    array = np.ravel(np.asarray(attribute))
    if array.dtype.kind in TEXT_KINDS:
        return [number for each in array for number in _numbers_of(each if isinstance(each, bytes) else str(each))]
    return [float(each) for each in array]


def _whole_numbers(attribute: Any) -> list[float]:
    """The numbers of an attribute; of a text only if it is a number as a whole, not one that holds some."""
    if np.asarray(attribute).dtype.kind not in TEXT_KINDS:
        return _numbers_of(attribute)
    texts = [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in _flat(attribute)]
    return [float(text) for text in texts if _is_number(text)]


def _flat(attribute: Any) -> list[Any]:
    return np.ravel(np.asarray(attribute, object)).tolist()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _left_behind(field: xr.DataArray, dtype: np.dtype) -> tuple[float, ...]:
    """Declared fill values that decoding did not take: text, another precision, names that CF does not have."""
    found = []
    for name, attribute in (*field.attrs.items(), *field.encoding.items()):
        of_store = name == "fill_value" and name in field.encoding  # Zarr: of chunks that were never written
        if of_store or not FILL_NAMES.fullmatch(str(name)):
            continue
        decoded = name in field.encoding and name in ("_FillValue", "missing_value")
        written = np.asarray(attribute).dtype.kind in TEXT_KINDS
        for number in _whole_numbers(attribute):
            rounded = dtype.kind == "f" and float(dtype.type(number)) != number
            if np.isfinite(number) and (written or rounded or not decoded):
                found.append(number)
    return tuple(dict.fromkeys(found))


def _tolerance(number: float, packing: Packing) -> float:
    """Within which an unpacked value is the given number of the file."""
    if packing.is_packed and packing.is_integer:
        return 0.25 * abs(packing.scale)
    return SINGLE * abs(number) * abs(packing.scale)


def _numbers(texts: np.ndarray, none: frozenset[str]) -> np.ndarray:
    """Texts as numbers; what says that there is none, in lower case, becomes NaN."""
    flat = [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in texts.reshape(-1)]
    wrong = next((each for each in flat if each.strip().lower() not in none and not _is_number(each)), None)
    if wrong is not None:
        raise NoNumber(wrong)
    values = [np.nan if each.strip().lower() in none else float(each) for each in flat]
    return np.asarray(values, np.float64).reshape(texts.shape)
