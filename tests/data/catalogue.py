"""What files may look like, and what Subgrid does with it: the list that the page of the guide is made of.

    .venv/bin/python -m tests.data.catalogue

writes docs/guide/quirks.md anew.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "quirks.md"


@dataclass(frozen=True)
class Quirk:
    """One way in which files differ.

    Args:
        kind: of quirk; the group on the page.
        what: a file may have.
        done: by Subgrid, in a sentence or two.
        test: that shows it, "file::function" below tests.
        says: a part of the sentence with which Subgrid refuses, as it is in the source: "…" for every value in it.
    """

    kind: str
    what: str
    done: str
    test: str
    says: str = ""


UNITS, WHAT, MISSING, TIME, MEMBERS = "Units", "What a variable is", "Missing values", "Time", "Members"
GRIDS, FILES, VALUES, TOGETHER = "Grids", "Files and stores", "Values", "Two archives"
QUIRKS = [
    # Units.
    Quirk(UNITS, "Temperatures in °C or °F, in any spelling: `degC`, `degrees C`, `deg_C`, `Celsius`, `oC`, `C`",
          "Converts to K.", "data/variables/test_unit_spellings.py::test_celsius"),
    Quirk(UNITS, "`Kelvin`, `degrees Kelvin`, `degK`", "Reads as K.",
          "data/variables/test_unit_spellings.py::test_kelvin"),
    Quirk(UNITS, "One unit in two spellings: `m s**-1` and `m s-1`, `mm/d` and `mm day-1`, `Pascals` and `Pa`",
          "Takes them as the same unit.", "data/variables/test_unit_spellings.py::test_one_unit_in_many_spellings"),
    Quirk(UNITS, "Rain in `kg m-2 s-1`, `m s-1`, `mm h-1`, `inch/day`; pressure in `hPa`, `mbar`, `atm`",
          "Converts to mm day-1 and Pa.", "data/variables/test_units.py::test_known_conversions"),
    Quirk(UNITS, "Amounts over a time step: `mm`, `m`, `kg m-2` of rain, `J m-2` of radiation",
          "Divides by the length of the step; months by their own lengths.",
          "data/times/test_stamps.py::test_amounts_are_divided_by_the_length_of_each_month"),
    Quirk(UNITS, "Amounts of rain, and no time step that tells what they are summed over",
          "Refuses.", "data/variables/test_units.py::test_mass_per_area_is_an_amount_too",
          "an amount needs time steps of known length"),
    Quirk(UNITS, "Amounts in files of one day or one month each",
          "Takes the step from all files together, where it is a month or a day at most.",
          "data/inspection/test_inspection.py::test_files_of_one_time_each_are_looked_at_together"),
    Quirk(UNITS, "Monthly values in `m` of rain or `J m**-2` of radiation: sums of the month, or of a mean day",
          "Refuses, with both readings.",
          "data/times/test_totals.py::test_joules_at_monthly_steps_may_be_of_a_day_and_each_advice_works",
          "a sum over each month, or of a day as in ERA5"),
    Quirk(UNITS, "Attributes that hold of other units: `GRIB_units`, `cell_methods = \"time: sum\"`, names of amounts",
          "Converts or drops them with the values.",
          "data/variables/test_units.py::test_attributes_of_amounts_become_those_of_rates"),
    Quirk(UNITS, "Running totals on a plain axis of times: since the start of a run, midnight, several hours of a day, "
                 "the first of a month, or until a bucket is full",
          "Refuses; where a total begins anew at every second or third time it looks like amounts, so that `inspect` "
          "says of amounts what they are taken for.",
          "data/times/test_totals.py::test_totals_of_months_are_refused", "so it looks like a running total"),
    Quirk(UNITS, "Shares from 0 to 1 called `%`, or a specific humidity under the name of a relative one",
          "Refuses, with both readings and how to say which.",
          "data/checks/test_shares.py::test_a_fraction_in_per_cent_is_refused_and_either_reading_can_be_said",
          "so it looks like a share from 0 to 1"),
    Quirk(UNITS, "Cloud cover in oktas (`octas`, `1/8`) or tenths", "Converts to %.",
          "data/checks/test_shares.py::test_ordinary_shares_pass"),
    Quirk(UNITS, "Units run together or decorated: `Wm**-2`, `kmh-1`, `mm 3h-1`, `mm Hg`, `%RH`, `fraction (0-1)`, `℃`",
          "Reads them.", "data/variables/test_unit_spellings.py::test_one_unit_in_many_spellings"),
    Quirk(UNITS, "Units that UDUNITS has no word for, such as `mm/pentad`",
          "Refuses, and asks for what the values are in or for other values, never for others over these values.",
          "data/variables/test_units.py::test_the_canonical_units_are_never_offered_for_values_in_others",
          "If UDUNITS has no word for it, convert the values"),
    Quirk(UNITS, "`r2` in `1`", "Takes fields with times for a relative humidity at 2 m, unless the long name speaks "
          "of a coefficient; those without times for a coefficient of determination.",
          "data/checks/test_shares.py::test_a_coefficient_of_determination_is_no_humidity"),
    Quirk(UNITS, "No attribute `units`", "Refuses; or give them, as in `variables = {tas = {units = 'K'}}`.",
          "data/variables/test_units.py::test_units_that_cannot_be",
          "has no attribute 'units'; set it to what the values"),
    Quirk(UNITS, "Units that are none, such as `quux`, or that only look like some, such as `degree days`",
          "Refuses: no text is turned into units that its words do not say.",
          "data/variables/test_unit_spellings.py::test_what_is_no_unit_is_not_read_as_one", "has the unknown units"),
    Quirk(UNITS, "Units of something else: rain in `degC`", "Refuses, and says how to tell what it is.",
          "data/variables/test_units.py::test_units_that_cannot_be", "which cannot become"),
    Quirk(UNITS, "Units that the values contradict: `K` over values near 15",
          "Refuses with the units that the values look like.",
          "data/checks/test_checks.py::test_wrong_units_show_on_opening", "but the values look like"),
    Quirk(UNITS, "Rain a little below 0, by packing or interpolation",
          "Sets it to 0 down to −0.1 mm day-1, and says how much from −0.001 on; refuses what is lower.",
          "data/checks/test_fills.py::test_what_regridding_leaves_of_rain_below_zero_is_set_to_zero"),
    # What a variable is.
    Quirk(WHAT, "Precipitation as `ppt`, `pre`, `prcp`, `precipitationCal`, `tp`, `rr`; temperature as `tg`, `t2m`",
          "Knows it by its name where there is no standard name; `inspect` says what it takes it to be and why.",
          "data/variables/test_quantities.py::test_names_of_well_known_archives"),
    Quirk(WHAT, "A name that says nothing, and a long name that says it plainly: `x`, `Daily rainfall`",
          "Takes the long name, where neither the units nor a standard name say otherwise, and says so.",
          "data/variables/test_quantities.py::test_a_long_name_says_what_a_strange_name_does_not"),
    Quirk(WHAT, "A name and a long name that disagree: `U10` of CESM, `10m wind speed`",
          "Takes the long name, and says so.",
          "data/variables/test_quantities.py::test_a_long_name_goes_before_a_name_that_says_something_else"),
    Quirk(WHAT, "Anomalies and changes that only the long name tells of: `Change of temperature relative to 1981-2010`",
          "Takes them as differences: no zero of °C, no bound at 0.",
          "data/variables/test_quantities.py::test_a_change_of_temperature_has_no_zero_of_celsius"),
    Quirk(WHAT, "One variable under two names: `tg` in one archive, `tas` in the other",
          "Takes a name for both: `variables = {tas = \"tg\"}`, or several, `{tas = [\"tas\", \"tg\"]}`.",
          "data/test_canonical.py::test_variables_are_chosen_ordered_and_renamed"),
    Quirk(WHAT, "A name that has two meanings, such as `pre` or `tp`", "Lets the units decide.",
          "data/variables/test_quantities.py::test_units_choose_between_readings_of_a_name"),
    Quirk(WHAT, "A temperature range or an anomaly in `degrees Celsius`",
          "Takes it as a difference: no zero of °C is added.",
          "data/variables/test_quantities.py::test_a_temperature_may_be_a_difference_of_two"),
    Quirk(WHAT, "A variable that is about another one: `air_temperature number_of_observations`",
          "Does not take it for a temperature.",
          "data/variables/test_quantities.py::test_a_modifier_of_a_standard_name_makes_it_another_variable"),
    Quirk(WHAT, "A name and attributes that say nothing, or something wrong",
          "Takes what you say: `quantity`, `bounds` and `units` of a variable come before what is in the file.",
          "data/variables/test_quantities.py::test_what_is_told_goes_before_everything_and_is_written_down"),
    Quirk(WHAT, "Directions, such as `wind_from_direction`, whose numbers go round",
          "Refuses, and asks for components; or takes the numbers as they are where you say `quantity = 'other'`.",
          "data/variables/test_units.py::test_a_direction_is_refused_and_can_be_taken_as_numbers",
          "is a direction, whose numbers go round"),
    Quirk(WHAT, "What Subgrid does not know, never below 0: leaf area, runoff, aerosol",
          "Leaves it without bounds, and says that draws may be negative and how to say that they cannot be.",
          "data/checks/test_open_bounds.py::test_what_is_never_negative_and_unknown_is_said_and_both_forms_of_the_advice_"
          "work"),
    Quirk(WHAT, "Values with bounds: humidity near 100 %, wind near 0",
          "Models them on a scale on which no draw leaves the bounds.",
          "downscaling/preparation/test_transforms.py::"
          "test_bounded_transforms_return_what_is_possible_and_keep_the_bounds"),
    Quirk(WHAT, "A second variable that cannot be used beside the one that is wanted",
          "Notes it; only what you ask for can be a problem.",
          "data/inspection/test_inspection.py::test_only_what_is_asked_for_can_be_a_problem"),
    Quirk(WHAT, "A static file with a land mask first and the orography second",
          "Finds the orography by its standard name, its name or its units, or takes the name you give; the fit and "
          "the model say which.",
          "downscaling/climate/test_orography.py::test_heights_are_found_behind_a_land_mask_and_become_metres"),
    # Missing values.
    Quirk(MISSING, "`_FillValue`, `missing_value`, also as text, in another precision, or under another name",
          "Reads all of them as missing.", "data/checks/test_missing.py::test_declared_fill_values_of_every_kind"),
    Quirk(MISSING, "`valid_range`, `valid_min`, `valid_max`",
          "Takes what lies outside as missing, and leaves the attributes out: values in K have no range in °C.",
          "data/checks/test_missing.py::test_values_outside_the_valid_range_are_missing"),
    Quirk(MISSING, "Packed integers with `scale_factor` and `add_offset`, signed or not",
          "Unpacks them; ranges of packed values are ranges of what is in the file.",
          "data/checks/test_missing.py::test_ranges_of_packed_values"),
    Quirk(MISSING, "A `scale_factor` or `add_offset` written as text", "Reads it as a number, and says so.",
          "data/sources/test_attributes.py::test_scale_factors_written_as_text_are_numbers"),
    Quirk(MISSING, "−9999, 1e20, or the default fill value of a library, and no attribute that says so",
          "Refuses with the number, the place and the share; or say so: `variables = {tas = {missing = -9999}}`.",
          "data/checks/test_fills.py::test_a_fill_value_is_named_as_it_is_in_the_file_and_the_advice_works",
          "which looks like a fill value that no attribute declares"),
    Quirk(MISSING, "One whole number beyond a bound, such as a humidity of −1 % over the sea, or a byte of 127",
          "Refuses it as a fill value in the same words, and says how to keep it.",
          "data/checks/test_fills.py::"
          "test_one_whole_number_beyond_a_bound_is_a_fill_value_and_either_advice_works"),
    Quirk(MISSING, "The same in plain arrays, without dates and places",
          "Refuses it too: in a fit, in what is downscaled, and in a reference.",
          "data/test_plain.py::test_fill_values_that_nothing_declares_are_refused_with_number_place_and_share",
          "which looks like a fill value that no attribute declares"),
    Quirk(MISSING, "Cells without any value: the sea", "Leaves them out, as they are, of everything.",
          "downscaling/model/test_dated.py::test_the_sea_holds_nothing_and_land_everything"),
    Quirk(MISSING, "Cells that have values at some times only",
          "Refuses, with the first place; `gaps` drops such times (`\"drop\"`), or leaves such cells out (`\"mask\"`).",
          "data/checks/test_checks.py::test_gap_inside_the_mask", "but this cell has values at other times"),
    Quirk(MISSING, "A time without any value",
          "Refuses, with the first of them; `gaps = \"drop\"` leaves it out, and `inspect` says so.",
          "cli/test_inspect.py::test_a_time_without_any_value_is_a_gap_that_dropping_bridges",
          "has no value (NaN) anywhere at time"),
    # Time.
    Quirk(TIME, "Bounds of the times that no attribute `bounds` names, such as `time_bnds`",
          "Takes them by their name where each stamp lies in its own or at an end of it, and says so.",
          "data/times/test_given_bounds.py::test_bounds_that_nothing_names_are_found"),
    Quirk(TIME, "Bounds of the times that are missing or 0",
          "Takes a missing pair from its neighbours; goes on as without bounds where they hold nothing. Says so.",
          "data/times/test_given_bounds.py::test_bounds_that_hold_nothing_are_as_none_and_said"),
    Quirk(TIME, "Any calendar: `noleap`, `360_day`, `julian`", "Keeps it: no day is invented or dropped.",
          "data/times/test_calendars.py::test_phase_is_the_elapsed_part_of_the_year"),
    Quirk(TIME, "A calendar that CF does not know", "Refuses with those that it knows.",
          "data/sources/test_sources.py::test_unknown_calendar_and_time_units", "time has the unknown calendar"),
    Quirk(TIME, "Monthly means stamped at the end of the month, with bounds",
          "Moves the stamps to the middle of their bounds, and says so.",
          "data/times/test_stamps.py::test_monthly_stamps_move_to_the_middle_of_their_bounds"),
    Quirk(TIME, "Daily means stamped at the end of the day, with bounds",
          "Moves the stamps into their day; stamps of instants (`time: point`) stay.",
          "data/times/test_stamps.py::test_daily_stamps_move_only_where_they_lie_outside_their_day"),
    Quirk(TIME, "Hourly sums, means or extremes stamped at the end of the hour, as in ERA5, without bounds",
          "Makes a day of the hours that end from 01:00 to 24:00, where `GRIB_stepType` or ERA5's names tell; of other "
          "sums it says how it takes their stamps.",
          "data/times/test_ends.py::test_a_day_is_made_of_the_hours_that_end_in_it"),
    Quirk(TIME, "Climatologies: `time: mean over years`, or climatological bounds of several years",
          "Refuses: such times are no dates.",
          "data/times/test_climatologies.py::test_a_climatology_is_refused", "times stands for many years"),
    Quirk(TIME, "Bounds of the times that are named, and are not in the file",
          "Takes the stamps for the ends of their intervals where the series then begins or ends with whole years, "
          "months or days, and says so; else leaves them, and says how they are taken.",
          "data/times/test_absent_bounds.py::test_daily_stamps_of_whole_years_at_the_end_of_their_days"),
    Quirk(TIME, "Monthly means without bounds",
          "Takes each stamp for the month that it lies in, and says so where it moves one.",
          "data/times/test_stamps.py::test_monthly_stamps_without_bounds_are_those_of_the_month_that_they_lie_in"),
    Quirk(TIME, "Bounds that do not belong to their stamps", "Refuses, and says how to mend either.",
          "data/times/test_stamps.py::test_stamps_far_from_their_bounds_name_both_readings", "is far from its bounds"),
    Quirk(TIME, "Dates written as numbers: CDO's `day as %Y%m%d.%f`, `20010131`, `YYYYMM`",
          "Reads them as dates, and says so.", "data/times/test_absolute_times.py::test_dates_written_as_numbers"),
    Quirk(TIME, "`months since` and `years since` a date", "Counts months and years of the calendar.",
          "data/times/test_absolute_times.py::test_dates_written_as_numbers"),
    Quirk(TIME, "Numbers that are no dates", "Refuses with the numbers and the units.",
          "data/times/test_absolute_times.py::test_numbers_that_are_no_dates", "numbers that are no dates of the"),
    Quirk(TIME, "Times called `valid_time`, `Times`, `time_counter`, or written as text",
          "Finds and reads them.", "data/times/test_stamps.py::test_times_by_other_names"),
    Quirk(TIME, "A single time, without a dimension", "Takes it as a series of one.",
          "data/times/test_stamps.py::test_a_single_time_is_a_time_of_length_one"),
    Quirk(TIME, "Forecasts by start and step (`step`, `valid_time`), one after the other",
          "Makes one series of valid times, and says so.",
          "data/times/test_stamps.py::test_forecasts_are_one_series_of_valid_times"),
    Quirk(TIME, "Forecasts that overlap", "Refuses, and says how to choose one series.",
          "data/times/test_stamps.py::test_forecasts_that_overlap_are_refused_and_either_advice_works",
          "valid times overlap; choose what is one series"),
    Quirk(TIME, "Sums since the start of each forecast", "Refuses, and says how to take differences.",
          "data/times/test_stamps.py::test_sums_since_the_start_of_a_forecast_are_refused_and_their_differences_taken",
          "it is summed up since the start of each forecast"),
    Quirk(TIME, "Times out of order, or twice", "Refuses with the first of them.",
          "data/checks/test_checks.py::test_duplicate_and_unsorted_times", "times are out of order"),
    # Members.
    Quirk(MEMBERS, "Members along `number`, `member`, `ens`, `realisation` …", "Takes them as members.",
          "data/pooling/test_members.py::test_members_by_the_names_of_their_dimension"),
    Quirk(MEMBERS, "The same dimensions in fields that are no climate data", "Takes them as samples, not as space.",
          "data/test_fields.py::test_members_and_times_by_their_usual_names_are_samples"),
    Quirk(MEMBERS, "Labels as numbers, text or bytes; r10 before r2",
          "Keeps the labels, in natural order: r1, r2, r10.",
          "data/pooling/test_members.py::test_labels_of_any_type_are_kept"),
    Quirk(MEMBERS, "Labels beside the dimension, such as `variant_label`", "Takes those of the form r1i1p1f1.",
          "data/pooling/test_members.py::test_labels_beside_the_dimension"),
    Quirk(MEMBERS, "A file a member, the label in the name, in an attribute, or in a coordinate",
          "Pools the files by their labels.", "data/pooling/test_members.py::test_files_of_members_in_natural_order"),
    Quirk(MEMBERS, "A label that comes twice", "Refuses, and says how to number the members.",
          "data/pooling/test_members.py::test_a_label_that_comes_twice_is_refused_and_the_advice_works",
          "if these are different members, give each its own label"),
    Quirk(MEMBERS, "Members of unequal lengths", "Uses what each has.",
          "downscaling/preparation/test_pairing.py::test_members_of_unequal_lengths_train_and_downscale"),
    Quirk(MEMBERS, "A scenario with other members than the history",
          "Pairs members by label; the change in climate is that of those which both have, and the others are said.",
          "downscaling/preparation/test_pairing.py::test_the_change_is_that_of_members_in_both_periods"),
    Quirk(MEMBERS, "ERA5 with `expver`: final and preliminary data, each missing where the other is",
          "Merges them into one series, the final first, and says so.",
          "data/pooling/test_members.py::test_the_two_versions_of_era5_are_one_series"),
    # Grids.
    Quirk(GRIDS, "A latitude in `degrees_east`, or a longitude in `degrees_north`",
          "Refuses: the map would be turned.",
          "data/grids/test_coordinates.py::test_a_latitude_in_degrees_east_is_refused", "correct one of them: a …"),
    Quirk(GRIDS, "Latitudes from north to south, longitudes from 0 to 360, dimensions in any order, other names",
          "Turns and sorts them: south to north, −180 to 180.",
          "data/grids/test_coordinates.py::test_canonical_form_is_reached_and_values_stay_at_their_points"),
    Quirk(GRIDS, "A region across the date line", "Keeps it in one piece.",
          "data/grids/test_coordinates.py::test_region_across_the_date_line_stays_in_one_piece"),
    Quirk(GRIDS, "The first meridian again at the end, or columns of the globe repeated",
          "Keeps each once, and says so.",
          "data/grids/test_coordinates.py::test_columns_repeated_around_the_globe_are_dropped"),
    Quirk(GRIDS, "Coordinates at the edges of cells, one row or one column, and bounds that say where the cells are",
          "Computes with the cells of the bounds: `inspect`, the checks and C′ alike.",
          "data/grids/test_bounds.py::test_coordinates_at_lower_edges_cover_what_their_bounds_cover"),
    Quirk(GRIDS, "Bounds or vertices that do not lie around their cells: zeros, or those of other cells", "Refuses.",
          "data/grids/test_bounds.py::test_bounds_that_are_no_cells_are_a_problem_of_one_file_as_of_two",
          "which is no cell around it"),
    Quirk(GRIDS, "Vertices that are 0 or missing over land", "Takes those between centres there, and says so.",
          "data/grids/test_bounds.py::test_vertices_that_land_lacks_are_those_between_centres"),
    Quirk(GRIDS, "Bounds in some files of an archive only", "Takes them for all.",
          "data/grids/test_bounds.py::test_bounds_of_any_file_of_an_archive_are_used"),
    Quirk(GRIDS, "2-D coordinates that are parallels and meridians", "Takes the grid as regular.",
          "data/grids/test_coordinates.py::"
          "test_two_dimensional_coordinates_that_are_parallels_and_meridians_are_regular"),
    Quirk(GRIDS, "A rotated or curvilinear grid with 2-D coordinates", "Computes with the corners of its cells.",
          "data/grids/test_coordinates.py::test_rotated_pole_keeps_its_coordinates"),
    Quirk(GRIDS, "A rotated pole without 2-D coordinates", "Computes them.",
          "data/grids/test_coordinates.py::test_a_rotated_pole_alone_tells_the_places"),
    Quirk(GRIDS, "2-D coordinates that are 0 or missing over land, as in NEMO",
          "Continues them where there are no values, and says so.",
          "data/grids/test_coordinates.py::test_cells_without_a_place_are_continued_where_they_hold_no_values"),
    Quirk(GRIDS, "Coordinates in radians", "Converts to degrees.",
          "data/grids/test_coordinates.py::test_radians_become_degrees"),
    Quirk(GRIDS, "A projection without coordinates in degrees", "Refuses, and names the projection.",
          "data/grids/test_coordinates.py::test_a_projection_alone_is_refused_with_its_name"),
    Quirk(GRIDS, "Lists of cells: unstructured, HEALPix, reduced Gaussian", "Refuses, and names the kind.",
          "data/grids/test_coordinates.py::test_lists_of_cells_are_refused_by_their_kind"),
    Quirk(GRIDS, "A further dimension, such as height, of one level", "Leaves it out; of several, asks for one.",
          "data/grids/test_coordinates.py::test_static_fields_and_single_levels", "choose one, for instance"),
    # Files.
    Quirk(FILES, "NetCDF 3 or 4, HDF5, Zarr 2 or 3, whatever the file is called", "Reads by what is in it.",
          "data/sources/test_opening.py::test_the_content_counts_and_not_the_suffix"),
    Quirk(FILES, "Everything in one group (IMERG)", "Reads that group; of several, asks for one: `file.nc#group`.",
          "data/sources/test_groups.py::test_everything_in_one_group", "its fields are in several groups"),
    Quirk(FILES, "A Zarr store in a zip archive", "Reads it where it is.",
          "data/sources/test_opening.py::test_zarr_in_a_zip_archive_is_read_where_it_is"),
    Quirk(FILES, "Files and stores behind a URL: `s3://`, `gs://`, `https://`", "Reads through fsspec.",
          "data/sources/test_remote.py::test_every_form_behind_a_url"),
    Quirk(FILES, "Chains of fsspec: `zip://fine.nc::all.zip`, `simplecache::https://…`", "Reads them.",
          "data/sources/test_remote.py::test_chains"),
    Quirk(FILES, "A URL with a query: a token, a signature", "Reads it; a token goes with every file of a Zarr store.",
          "data/sources/test_web.py::test_the_kind_is_that_of_the_name_without_its_query"),
    Quirk(FILES, "A web server that sends files whole only",
          "Reads small parts of Zarr, and a temporary copy of what is one file, and says so.",
          "data/sources/test_web.py::test_what_is_fetched_whole_is_said_and_read_as_a_file_of_this_machine"),
    Quirk(FILES, "A server that does not answer, or refuses", "Says so, and not that there is no file.",
          "data/sources/test_web.py::test_what_is_not_there_is_not_what_does_not_answer", "cannot be reached (…)"),
    Quirk(FILES, "What stands for data and holds none: NcML, a reply of OPeNDAP, a page that asks to log in",
          "Refuses, with the name of what it is and what to give instead.",
          "data/sources/test_file_kinds.py::test_a_reply_of_opendap_says_which_address_to_open",
          "and neither NetCDF nor Zarr; …"),
    Quirk(FILES, "GRIB, HDF4, GeoTIFF, CDL, tables of text …", "Refuses: names the kind, and how to convert it.",
          "data/sources/test_file_kinds.py::test_the_kind_is_named_whatever_the_file_is_called",
          "neither NetCDF nor Zarr; "),
    Quirk(FILES, "Files that are packed: gzip, bzip2, xz, zstd, tar, zip", "Refuses, with the command that unpacks.",
          "data/sources/test_file_kinds.py::test_packed_files_are_unpacked_by_the_command_that_is_named",
          "unpack it with `"),
    Quirk(FILES, "A file that was cut short, or whose values are damaged", "Refuses, and says where.",
          "data/sources/test_sources.py::test_truncated_netcdf", "this NetCDF file ends before its header says"),
    Quirk(FILES, "Arrays of Python objects, which could run code", "Refuses without reading them.",
          "data/sources/test_sources.py::test_objects_in_zarr_are_refused", "is an array of Python objects"),
    Quirk(FILES, "Attributes that no file can hold: bytes, dictionaries, dates", "Leaves them out, and says which.",
          "data/sources/test_attributes.py::test_a_dataset_of_another_program"),
    Quirk(FILES, "Many files of one archive: by period, by variable, by member",
          "Puts them together; refuses two files for one time.",
          "data/pooling/test_pooling.py::test_periods_follow_each_other_in_any_order_of_names", "both hold"),
    Quirk(FILES, "Files of one archive on different grids or calendars", "Refuses, and names two of them.",
          "data/pooling/test_pooling.py::test_files_that_do_not_go_together", "have different grids"),
    # Values.
    Quirk(VALUES, "Infinite values, or ones that nature does not have", "Refuses, with the first place.",
          "data/checks/test_checks.py::test_infinite_value_is_placed", "fill or remove such values before downscaling"),
    Quirk(VALUES, "A coarse cell that never changes", "Leaves it out of what is scored, and stays finite.",
          "downscaling/debiasing/test_choice.py::test_a_constant_cell_is_left_out_of_the_scores"),
    # Two archives.
    Quirk(TOGETHER, "A coarse grid on a rotated pole, a regular fine one", "Tells by its outline what it covers.",
          "data/inspection/test_coverage.py::test_the_share_inside_is_that_about_the_rotated_pole"),
    Quirk(TOGETHER, "A variable that one archive's standard name tells, and the other's name does not, or otherwise",
          "Decides once for both: what is known best holds, if the other can be it, and is said.",
          "data/test_variables_of_archives.py::test_the_archive_that_knows_decides_for_a_fit_and_says_so"),
    Quirk(TOGETHER, "A variable that the two archives know equally well, in units that neither can be in the other",
          "Refuses, and advises no quantity: other files, another name, or the units.",
          "data/test_variables_of_archives.py::test_no_quantity_is_advised_that_the_units_cannot_be",
          "neither can be the other, by its units"),
    Quirk(TOGETHER, "A variable that the two archives know equally well, as different things",
          "Refuses, with both readings and how to say what it is: `variables = {wind = {quantity = 'speed'}}`.",
          "data/variables/test_readings.py::test_two_that_know_equally_well_are_refused",
          "archives of one model hold the same"),
    Quirk(TOGETHER, "Plain arrays in two units",
          "Converts the coarse ones and says so; refuses what cannot become the other; says where one gives no units.",
          "downscaling/model/test_plain.py::test_units_that_differ_between_plain_archives_are_said_or_refused"),
    Quirk(TOGETHER, "A reference for `verify` with any of these quirks", "Reads it as `fit` reads its archives.",
          "downscaling/verifying/test_references.py::test_days_stamped_at_their_ends_are_paired_with_their_own_days"),
    Quirk(TOGETHER, "Coarse 3-hourly or monthly, fine daily",
          "Refuses; or averages over complete days or months: `step = \"day\"`.",
          "data/times/test_steps.py::test_archives_of_other_steps_are_refused_and_the_advice_works",
          "average both with step = '…'"),
    Quirk(TOGETHER, "An ensemble of months and a reference of days for `verify`, or of days and of hours",
          "Refuses; or averages the finer one over complete days or months: `step = \"month\"`, `--step month`.",
          "downscaling/verifying/test_time_steps.py::test_a_daily_reference_is_averaged_to_the_months_of_an_ensemble_"
          "and_its_incomplete_ones_are_dropped", "average the finer one with"),
    Quirk(TOGETHER, "Regions that do not overlap, coarse and fine swapped, months that one lacks",
          "Refuses, before anything is fitted.",
          "data/inspection/test_together.py::test_what_does_not_fit", "they do not overlap; choose"),
    Quirk(TOGETHER, "Dates and places in one archive, and not in the other",
          "Refuses to take both for plain arrays, unless you say so.",
          "downscaling/model/test_dated.py::test_archives_of_which_one_has_no_dates_are_not_taken_for_plain_arrays"),
    Quirk(TOGETHER, "Dates that both have", "Pairs none of them, and says so.",
          "data/inspection/test_inspection.py::test_iberia_fits_together"),
]  # fmt: skip
HEAD = """---
hide: [toc]
---

# What files may look like

After this page you know what Subgrid does with files of other people: what it reads, what it converts, and what it
refuses, with which sentence. Whatever is converted, merged or left out is said once: by `subgrid inspect`, in the log,
and in the history of the output.

Where a file says too little, or something wrong, you can say it yourself, without changing the file. In Python:

```python
from subgrid import open_climate
from subgrid.data.variables import Variable

rain = open_climate(
    "prism.nc", {"pr": Variable(("ppt",), quantity="precipitation", units="mm")}
)
```

In a configuration:

```toml
[climate.variables]
pr = {names = "ppt", quantity = "precipitation", units = "mm"}
```

The table is made of the list that the tests check: every line has a test that shows it.
"""


def page() -> str:
    """The page of the guide."""
    lines = [HEAD, "| a file may have | Subgrid |", "|---|---|"]
    for kind in dict.fromkeys(quirk.kind for quirk in QUIRKS):
        lines.append(f"| **{kind}** | |")
        for quirk in (each for each in QUIRKS if each.kind == kind):
            said = f" “{quirk.says.strip(' ;')}”" if quirk.says else ""
            lines.append(f"| {quirk.what} | {quirk.done}{said} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
