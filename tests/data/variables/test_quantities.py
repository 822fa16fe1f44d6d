"""What a variable is: by standard name, name and units of well-known archives, or as it is given."""

import pytest
import xarray as xr

from subgrid.data.variables.quantities import QUANTITIES, Described, describe, describe_name, extreme_of


def field(name: str, units: str | None = None, **attributes: str) -> xr.DataArray:
    return xr.DataArray(0.0, name=name, attrs=attributes | ({} if units is None else {"units": units}))


NAMES = {
    "temperature": "tas tasmax tasmin ta ts tos sst t2m 2t d2m mx2t24 tg tn tx tmp tmn tmx tmmx tmean T2 air "
    "skt tasAdjust temp air_temperature TEMP2 TREFHT TREFHTMX T2MMAX tmp2m AirTemp_2m water_temp Tmax_stat",
    "temperature difference": "tas_anomaly temp_anom tempanomaly",
    "temperature range": "dtr tasrange diurnal_temperature_range",
    "precipitation": "pr prc prsn tp rr ppt pre prcp precip precipitationCal prAdjust RAINNC prate pcp "
    "precipitation_amount rainfall RAINFILE lsp PRECT PRECTmms PRECC PRECL PRECTOT PRECTOTCORR cmorph daily_rain "
    "Rainf_f_tavg TOT_PR RRR APCP_surface apcp RG tp6",
    "pressure": "ps psl slp msl sp PSFC pressure",
    "vapour pressure": "vap vp vpd",
    "relative humidity": "hurs hursmin rh rhum hu rmax relhum RHREFHT RH2M rhmax rh_tmax",
    "fraction": "clt tcc siconc snc lsm sftlf cld CLDTOT CLCT TCDC_entireatmosphere aice",
    "mass fraction": "huss hus sph shum q2m",
    "speed": "sfcWind sfcWindmax fg si10 wspd wsgsmax WS2M SPEED ff sp_10m ws10",
    "velocity": "uas vas ua u10 10v uwnd",
    "radiation": "rsds rlds ssrd srad qq FSDS FLDS SWGDN ALLSKY_SFC_SW_DWN",
    "snow amount": "snw snd swe",
    "other": "orog x evspsbl mrro tasks prw wet_days number_of_rain_days precipitation_hours precipitable_water "
    "precip_type wind_direction",
}  # fmt: skip


@pytest.mark.parametrize(("quantity", "name"), [(q, name) for q, names in NAMES.items() for name in names.split()])
def test_names_of_well_known_archives(quantity, name):
    assert describe(field(name)).quantity == quantity


STANDARD_NAMES = {
    "temperature": "air_temperature sea_surface_temperature dew_point_temperature surface_temperature "
    "soil_temperature",
    "temperature difference": "air_temperature_anomaly surface_temperature_anomaly",
    "precipitation": "precipitation_flux precipitation_amount lwe_precipitation_rate rainfall_rate "
    "convective_precipitation_flux snowfall_flux thickness_of_rainfall_amount lwe_thickness_of_precipitation_amount",
    "pressure": "air_pressure air_pressure_at_mean_sea_level surface_air_pressure air_pressure_at_sea_level",
    "vapour pressure": "water_vapor_partial_pressure_in_air",
    "relative humidity": "relative_humidity",
    "fraction": "cloud_area_fraction sea_ice_area_fraction land_binary_mask",
    "mass fraction": "specific_humidity humidity_mixing_ratio",
    "speed": "wind_speed wind_speed_of_gust",
    "velocity": "eastward_wind northward_wind x_wind",
    "radiation": "surface_downwelling_shortwave_flux_in_air surface_downwelling_longwave_flux_in_air",
    "snow amount": "surface_snow_amount lwe_thickness_of_surface_snow_amount",
    "other": "surface_altitude tendency_of_air_temperature number_of_days_with_air_temperature_above_threshold "
    "surface_downward_eastward_stress wind_from_direction atmosphere_mass_content_of_water_vapor",
}  # fmt: skip


@pytest.mark.parametrize(
    ("quantity", "standard_name"), [(q, name) for q, names in STANDARD_NAMES.items() for name in names.split()]
)
def test_standard_names(quantity, standard_name):
    assert describe(field("x", standard_name=standard_name)).quantity == quantity


def test_units_choose_between_readings_of_a_name():
    assert describe(field("pre", "mm/day")).quantity == "precipitation"
    assert describe(field("tp", "m")).quantity == "precipitation"
    assert describe(field("orog", "m")).quantity == "other"


@pytest.mark.parametrize(
    ("attributes", "quantity"),
    [
        ({"cell_methods": "time: range within days time: mean over days"}, "temperature range"),
        ({"long_name": "diurnal temperature range"}, "temperature range"),
        ({"long_name": "2 m temperature anomaly"}, "temperature difference"),
        ({"cell_methods": "time: mean"}, "temperature"),
    ],
)
def test_a_temperature_may_be_a_difference_of_two(attributes, quantity):
    assert describe(field("tas", "K", standard_name="air_temperature", **attributes)).quantity == quantity


SPOKEN = {
    "precipitation": ["Total (convective and large-scale) precipitation rate (liq + ice)", "Daily rainfall", "Snowfall",
                      "Bias-corrected precipitation"],
    "speed": ["10m wind speed", "surface_wind_speed", "MERRA-2 wind speed at 2 m", "10 metre wind gust"],
    "velocity": ["10 metre U wind component", "Eastward Near-Surface Wind Speed", "V-component of wind"],
    "relative humidity": ["Relative humidity at time of maximum temperature"],
    "fraction": ["Vertically-integrated total cloud", "Total Cloud Cover", "ice area  (aggregate)"],
    "radiation": ["Downwelling solar flux at surface", "All Sky Surface Shortwave Downward Irradiance"],
    "net radiation": ["Surface net thermal radiation"],
    "pressure": ["Mean sea level pressure"],
    "vapour pressure": ["Vapor pressure deficit"],
    "mass fraction": ["Specific humidity at 2 m"],
    "snow amount": ["Snow depth"],
    "temperature": ["maximum_2-meter_air_temperature", "2 metre dewpoint temperature"],
    "temperature range": ["diurnal temperature range"],
    "temperature difference": ["temperature anomaly", "Temperature change since 1850"],
    "other": ["Precipitation minus evaporation", "Standardized precipitation index", "Standard deviation of rainfall",
              "Precipitation anomaly", "Zonal wind stress", "Total precipitable water", "Wind direction", "train",
              "Potential temperature", "number of days with rain"],
}  # fmt: skip
UNITS_OF = {name: kind.units or "mm day-1" for name, kind in QUANTITIES.items()}


@pytest.mark.parametrize(("quantity", "title"), [(q, title) for q, titles in SPOKEN.items() for title in titles])
def test_a_long_name_says_what_a_strange_name_does_not(quantity, title):
    described = describe(field("x", UNITS_OF[quantity], long_name=title))
    assert described.quantity == quantity
    assert "long name" in described.because


def test_a_long_name_says_nothing_that_units_or_a_standard_name_contradict():
    assert describe(field("x", "hPa", long_name="Total precipitation")).quantity == "other"
    assert describe(field("x", "m", standard_name="surface_altitude", long_name="Snow depth")).quantity == "other"
    named = describe(field("x", "m s-1", standard_name="eastward_wind", long_name="10m wind speed"))
    assert named.quantity == "velocity"


def test_a_long_name_goes_before_a_name_that_says_something_else():
    wind = describe(field("U10", "m/s", long_name="10m wind speed"))
    assert (wind.quantity, wind.bounds) == ("speed", (0.0, None))
    assert wind.because == "its long name, '10m wind speed', though its name, 'U10', says a velocity"
    assert describe(field("U10", "m/s")).quantity == "velocity"
    assert describe(field("dtr", "K", long_name="Temperature")).quantity == "temperature range"


@pytest.mark.parametrize(
    "title",
    ["blended air_temperature_anomaly over land with sea_water_temperature_anomaly",
     "Temperature departure from normal", "Change of temperature relative to 1981-2010",
     "difference between two temperatures"],
)  # fmt: skip
def test_a_change_of_temperature_has_no_zero_of_celsius(title):
    assert describe(field("tas_mean", "degC", long_name=title)).quantity == "temperature difference"


def test_a_change_of_what_has_bounds_has_none():
    for name, units in (("pr", "mm day-1"), ("hurs", "%"), ("sfcWind", "m s-1")):
        found = describe(field(name, units, long_name="anomaly relative to 1981-2010"))
        assert (found.quantity, found.bounds) == ("other", (None, None)), name
    assert describe(field("uas", "m s-1", long_name="wind anomaly")).quantity == "velocity"


def test_a_modifier_of_a_standard_name_makes_it_another_variable():
    counted = field("tas_n", "1", standard_name="air_temperature number_of_observations")
    assert describe(counted).quantity == "other"


def test_what_is_told_goes_before_everything_and_is_written_down():
    described = describe(field("ppt", "K", standard_name="air_temperature"), quantity="precipitation")
    assert (described.quantity, described.bounds, described.transform) == (
        "precipitation",
        (0.0, None),
        "censored root",
    )
    bounded = describe(field("x", "1"), bounds=(0.0, 5.0))
    assert (bounded.quantity, bounded.transform) == ("other", "arcsine")
    again = describe(field("anything").assign_attrs(bounded.attributes))
    assert (again.quantity, again.bounds, again.transform) == ("other", (0.0, 5.0), "arcsine")
    assert Described.from_dict(bounded.as_dict()) == bounded


def test_bounds_and_transforms_follow_from_the_quantity():
    found = {
        name: (describe_name(name).bounds, describe_name(name).transform)
        for name in ("tas", "pr", "hurs", "sfcWind", "uas")
    }
    assert found == {
        "tas": ((0.0, None), "none"), "pr": ((0.0, None), "censored root"), "hurs": ((0.0, 100.0), "arcsine"),
        "sfcWind": ((0.0, None), "root"), "uas": ((None, None), "none"),
    }  # fmt: skip


def test_a_quantity_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"no quantity 'precipitatoin'; there are .* did you mean 'precipitation'"):
        describe(field("x"), quantity="precipitatoin")
    with pytest.raises(ValueError, match="bounds must ascend, got 5 and 1"):
        describe(field("x"), bounds=(5.0, 1.0))


def test_canonical_units_are_units_of_the_quantity():
    from subgrid.data.variables.units import can_be

    assert all(can_be(kind.units, name) for name, kind in QUANTITIES.items() if kind.units is not None)
    assert not can_be("hPa", "precipitation") and can_be("mm", "precipitation") and can_be("J m-2", "radiation")


OTHER = {
    "hu": ("kg/kg", "mass fraction"),
    "sd": ("K", "other"),
    "precip_std": ("mm/day", "other"),
    "template": ("K", "other"),
    "void_fraction": ("1", "other"),
    "rf": ("W m-2", "other"),
    "rls": ("W m-2", "net radiation"),
    "u": ("m s-1", "velocity"),
    "tprate": ("m s-1", "precipitation"),
    "pmsl": ("Pa", "pressure"),
    "stl1": ("K", "temperature"),
    "ps": ("m/s", "other"),
}


@pytest.mark.parametrize("name", OTHER)
def test_names_with_several_meanings_are_decided_by_units_or_not_at_all(name):
    units, quantity = OTHER[name]
    assert describe(field(name, units)).quantity == quantity


@pytest.mark.parametrize(
    "standard_name",
    ["product_of_eastward_wind_and_northward_wind", "square_of_air_temperature", "tendency_of_wind_speed",
     "speed_of_sound",
     "lagrangian_tendency_of_air_pressure", "integral_wrt_time_of_precipitation_flux", "air_potential_temperature"],
)  # fmt: skip
def test_what_is_made_of_a_variable_is_another_one(standard_name):
    assert describe(field("x", standard_name=standard_name)).quantity == "other"


def test_a_spread_of_temperatures_has_no_zero_and_a_title_alone_makes_no_difference():
    spread = field("tas", "degC", standard_name="air_temperature", cell_methods="time: standard_deviation")
    assert describe(spread).quantity == "temperature range"
    corrected = field("sst", "degC", long_name="SST, corrected by the buoy-ship difference")
    assert describe(corrected).quantity == "temperature"


def test_bounds_that_are_the_quantity_s_own_change_nothing():
    for name in ("tas", "pr", "hurs", "sfcWind"):
        assert describe(field(name), bounds=describe_name(name).bounds) == describe_name(name)
    assert describe(field("pr"), bounds=(0.0, 500.0)).transform == "censored root"


def test_a_name_keeps_its_meaning_where_its_units_are_none():
    assert describe(field("pr", "quux")).quantity == "precipitation"
    assert describe(field("pr", "degC")).quantity == "other"


def test_extremes_are_known_by_name():
    found = {name: extreme_of(name) for name in ("tasmax", "tx", "mx2t24", "fg10", "tasmin", "tn", "tas", "pr")}
    assert list(found.values()) == ["maximum"] * 4 + ["minimum"] * 2 + [None] * 2
