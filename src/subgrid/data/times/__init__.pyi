from .calendars import (
    calendar_of as calendar_of,
    day_of_year_phase as day_of_year_phase,
    season_years as season_years,
    step_days as step_days,
)
