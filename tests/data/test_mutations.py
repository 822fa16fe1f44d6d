"""Every check of the data layer bites: with one small fault in it, the test that guards it fails."""

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subgrid.data.variables.quantities import QUANTITIES
from subgrid.data.variables.unit_spellings import parse_unit

from .checks import test_checks, test_fills, test_missing
from .climate_files import archive
from .grids import test_cells, test_coordinates, test_regrid
from .inspection import test_together
from .pooling import test_members, test_pooling
from .sources import test_attributes, test_file_kinds, test_groups, test_sources
from .times import test_absolute_times, test_stamps, test_steps
from .variables import test_quantities, test_unit_spellings, test_units

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Mutation:
    """A fault, and the test that must find it.

    Args:
        fault: in words.
        module: in which it is, below subgrid.data.
        name: of the function or constant.
        change: from what it is to what it is with the fault.
        test: that fails then, and passes otherwise.
        arguments: of the test.
    """

    fault: str
    module: str
    name: str
    change: Change
    test: Callable[..., None]
    arguments: dict[str, Any] = field(default_factory=dict)


def by(value: Any) -> Change:
    """Something else in its place."""
    return lambda original: value


def answering(value: Any) -> Change:
    """A function that always gives the same."""
    return lambda original: lambda *args, **options: value


def passing_on(original: Any) -> Any:
    """A function that gives back what it is given."""
    return lambda first, *args, **options: first


def with_value(key: Any, value: Any) -> Change:
    """A table with another entry."""
    return lambda original: {**original, key: value}


def without(*keys: Any) -> Change:
    """A table that lacks some entries."""
    return lambda original: {key: value for key, value in original.items() if key not in keys}


DATASET = archive(n_times=40, lat=np.linspace(36, 42, 20), lon=np.linspace(-9, 3, 20))
CONVERSION = test_units.test_known_conversions
MUTATIONS = [
    # Units.
    Mutation("the zero of °C is dropped", "variables.units", "ZEROS", with_value("celsius", 0.0), CONVERSION,
             {"name": "tas", "units": "degC", "value": 0.0, "expected": 273.15}),
    Mutation("a kilogram of water is a metre", "variables.units", "WATER_DENSITY", by(1.0), CONVERSION,
             {"name": "pr", "units": "kg m-2 s-1", "value": 1e-4, "expected": 8.64}),
    Mutation("a range of temperatures in °C has a zero", "variables.quantities", "QUANTITIES",
             lambda table: {"temperature": replace(table["temperature"], names=".*"), **without("temperature")(table)},
             CONVERSION, {"name": "dtr", "units": "degC", "value": 10.0, "expected": 10.0}),
    Mutation("amounts are not divided by the step", "variables.units", "AMOUNTS", by({}),
             test_units.test_amounts_become_rates_by_the_time_step, {"units": "mm", "step": 0.25, "expected": 24.0}),
    Mutation("negative rain is set to 0 whatever its size", "variables.units", "NOISE", by(1e9),
             test_units.test_rounding_below_zero_is_no_rain_but_more_is_kept),
    Mutation("degrees C is a product of two words", "variables.unit_spellings", "TEMPERATURES", by({}),
             test_unit_spellings.test_celsius, {"text": "degrees C"}),
    Mutation("capitals do not matter", "variables.unit_spellings", "CASE_MATTERS", by(frozenset()),
             test_unit_spellings.test_what_is_no_unit_is_not_read_as_one, {"text": "G s-1"}),
    # What a variable is.
    Mutation("fractions are not bounded", "variables.quantities", "QUANTITIES",
             lambda table: {**table, "relative humidity": QUANTITIES["other"]},
             test_quantities.test_bounds_and_transforms_follow_from_the_quantity),
    Mutation("a modifier of a standard name is ignored", "variables.quantities", "MODIFIERS", by(set()),
             test_quantities.test_a_modifier_of_a_standard_name_makes_it_another_variable),
    Mutation("cell methods are ignored", "variables.quantities", "_as_range", passing_on,
             test_quantities.test_a_temperature_may_be_a_difference_of_two,
             {"attributes": {"long_name": "diurnal temperature range"}, "quantity": "temperature range"}),
    # Times.
    Mutation("bounds of times are ignored", "times.stamps", "time_bounds_of", answering((None, [])),
             test_stamps.test_daily_stamps_move_only_where_they_lie_outside_their_day),
    Mutation("any bounds are believed", "times.stamps", "_require_near", answering(None),
             test_stamps.test_stamps_far_from_their_bounds_name_both_readings),
    Mutation("monthly stamps stay where they are", "times.stamps", "is_monthly", answering(False),
             test_stamps.test_monthly_stamps_without_bounds_are_those_of_the_month_that_they_lie_in, {"day": "01"}),
    Mutation("dates written as numbers are counted", "sources.sources", "with_readable_times",
             lambda original: lambda dataset, **options: (dataset, ()),
             test_absolute_times.test_dates_written_as_numbers,
             {"values": [20010131, 20010201], "units": "YYYYMMDD",
              "expected": test_absolute_times.dates("2001-01-31", "2001-02-01")}),
    Mutation("months have 30 days", "times.absolute_times", "_later",
             lambda original: lambda date, months: date + timedelta(30 * months),
             test_absolute_times.test_dates_written_as_numbers,
             {"values": [0, 1, 14], "units": "months since 2001-01-16 12:00",
              "expected": test_absolute_times.dates("2001-01-16T12", "2001-02-15", "2002-03-16T12")}),
    Mutation("times may come twice", "canonical", "check_times", answering(None),
             test_checks.test_duplicate_and_unsorted_times),
    Mutation("forecasts may overlap", "times.stamps", "as_one_series",
             lambda original: lambda dataset, variable, file: (dataset, ()),
             test_stamps.test_forecasts_that_overlap_are_refused_and_either_advice_works),
    Mutation("sums since the start of a forecast are amounts", "times.forecasts", "_refuse_running_sums",
             answering(None),
             test_stamps.test_sums_since_the_start_of_a_forecast_are_refused_and_their_differences_taken),
    Mutation("incomplete days count", "times.steps", "_complete", lambda original: _every_period,
             test_steps.test_only_complete_days_count),
    Mutation("maxima are averaged", "times.steps", "how_to_average", answering("mean"),
             test_steps.test_extremes_of_days_and_the_monthly_mean_of_them),
    Mutation("steps of archives are not compared", "inspection.together", "_misfits_of_steps", answering([]),
             test_steps.test_archives_of_other_steps_are_refused_and_the_advice_works),
    Mutation("steps of files are not compared", "pooling.pooling", "check_one_step", answering(None),
             test_steps.test_files_of_other_steps_are_no_archive),
    # Members.
    Mutation("members are in the order of letters", "pooling.members", "natural_key", by(str),
             test_members.test_labels_of_any_type_are_kept,
             {"labels": np.array(["r10i1p1f1", "r2i1p1f1", "r1i1p1f1"], "S9"),
              "expected": ["r1i1p1f1", "r2i1p1f1", "r10i1p1f1"], "order": [2, 1, 0]}),
    Mutation("files of members are in the order of letters", "pooling.pooling", "natural_key", by(str),
             test_members.test_files_of_members_in_natural_order),
    Mutation("a label may come twice", "pooling.members", "_refuse_repeated", answering(None),
             test_members.test_a_label_that_comes_twice_is_refused_and_the_advice_works),
    Mutation("versions of ERA5 are no versions", "pooling.members", "VERSIONS", by("nothing"),
             test_members.test_the_two_versions_of_era5_are_one_series, {"labels": [1, 5]}),
    # Grids and pooling.
    Mutation("longitudes are only wrapped", "grids.canonical_grid", "in_one_piece",
             by(lambda degrees: (degrees + 180.0) % 360.0 - 180.0),
             test_coordinates.test_region_across_the_date_line_stays_in_one_piece, {"lon": np.arange(170.0, 191, 2.5)}),
    Mutation("the grids of files are not compared", "pooling.pooling", "_check_same_grid", answering(None),
             test_pooling.test_files_that_do_not_go_together, {"number": 0}),
    Mutation("the calendars of files are not compared", "pooling.pooling", "_check_calendars", answering(None),
             test_pooling.test_files_that_do_not_go_together, {"number": 1}),
    Mutation("corners of rotated cells are swapped", "grids.cells", "_corners_between",
             lambda original: lambda lat, lon: tuple(each[..., [0, 2, 1, 3]] for each in original(lat, lon)),
             test_cells.test_areas_of_a_rotated_grid_converge_at_second_order),
    Mutation("cells have the same area everywhere", "grids.regrid", "polygon_areas",
             lambda original: lambda corners: np.sign(original(corners)),
             test_regrid.test_rotated_cells_tile_the_coarse_ones),
    Mutation("grids need not overlap", "inspection.together", "overlap", answering(1.0),
             test_together.test_what_does_not_fit, {"number": 0}),
    # Values.
    Mutation("gaps are taken", "checks.checks", "_check_census", answering(None),
             test_checks.test_gap_inside_the_mask),
    Mutation("any magnitude is plausible", "checks.extremes", "beyond", answering(None),
             test_checks.test_wrong_units_show_on_opening, {"number": 0}),
    Mutation("−9999 is a value", "checks.fills", "KNOWN", by(np.array([1e20])),
             test_fills.test_a_fill_value_at_one_time_only_is_found_when_all_is_read),
    Mutation("valid ranges are ignored", "checks.missing", "_within_valid_range",
             lambda original: lambda field, packing: (field, ()),
             test_missing.test_values_outside_the_valid_range_are_missing, {"number": 0}),
    Mutation("ranges of values in the file are kept", "checks.missing", "OF_FILE_VALUES", by(re.compile(r"(?!)")),
             test_missing.test_values_outside_the_valid_range_are_missing, {"number": 0}),
    # Files.
    Mutation("classic files may be cut short", "sources.opening", "_refuse_truncated_classic", answering(None),
             test_sources.test_truncated_netcdf, {"format": "NETCDF3_CLASSIC", "part": 0.95, "dataset": DATASET}),
    Mutation("objects of Python are read", "sources.zarr_metadata", "_holds_objects", answering(False),
             test_sources.test_objects_in_zarr_are_refused, {"consolidated": False, "dataset": DATASET}),
    Mutation("any attribute is kept", "sources.attributes", "_is_writable", answering(True),
             test_attributes.test_a_dataset_of_another_program),
    Mutation("HDF4 is unknown", "sources.file_kinds", "MAGIC", without(b"\x0e\x03\x13\x01"), 
             test_file_kinds.test_the_kind_is_named_whatever_the_file_is_called, {"kind": "HDF4"}),
    Mutation("groups are not looked into", "sources.groups", "_is_field", answering(False),
             test_groups.test_everything_in_one_group, {"name": "imerg.HDF5"}),
]  # fmt: skip


def _every_period(time: Any, step: Any, days: float) -> tuple[np.ndarray, np.ndarray, int]:
    from subgrid.data.times.calendars import starts_of

    starts = starts_of(time, step)
    first = np.flatnonzero(np.concatenate([[True], starts[1:] != starts[:-1]]))
    return first, np.diff(np.append(first, time.size)), 0


def run(mutation: Mutation, folder: Path) -> None:
    """The test with its arguments; "number" chooses one of its parametrised cases."""
    folder.mkdir()
    parse_unit.cache_clear()
    arguments = dict(mutation.arguments)
    if "number" in arguments:
        names, cases = next(m.args for m in getattr(mutation.test, "pytestmark", []) if m.name == "parametrize")
        arguments |= dict(zip(names, cases[arguments.pop("number")], strict=True))
    if "tmp_path" in inspect.signature(mutation.test).parameters:
        arguments["tmp_path"] = folder
    try:
        mutation.test(**arguments)
    finally:
        parse_unit.cache_clear()


@pytest.mark.slow  # half a minute: each of the tests runs twice
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.fault)
def test_a_fault_is_found(mutation, tmp_path, monkeypatch):
    run(mutation, tmp_path / "as it is")
    module = importlib.import_module(f"subgrid.data.{mutation.module}")
    monkeypatch.setattr(module, mutation.name, mutation.change(getattr(module, mutation.name)))
    with pytest.raises((Exception, pytest.fail.Exception)):
        run(mutation, tmp_path / "with a fault")
