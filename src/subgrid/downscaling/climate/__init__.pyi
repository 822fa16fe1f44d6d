from .baselines import (
    fit_analogues as fit_analogues,
    fit_interpolated_quantile_mapping as fit_interpolated_quantile_mapping,
    fit_local_noise as fit_local_noise,
    fit_spatial_disaggregation as fit_spatial_disaggregation,
)
from .coarse_fit import (
    FittedOn as FittedOn,
    check_grid as check_grid,
    fit_coarse as fit_coarse,
)
from .conditions import (
    Conditions as Conditions,
    TrainingAnomalies as TrainingAnomalies,
)
from .domain import (
    Domain as Domain,
    fine_side as fine_side,
    fit_anomalies as fit_anomalies,
)
from .prior import (
    ClimatePrior as ClimatePrior,
    load_climate_prior as load_climate_prior,
    prior_taper as prior_taper,
)
from .prior_choice import (
    PriorChoice as PriorChoice,
)
from .refinement import RefinementSettings as RefinementSettings
from .sampler import (
    draw_anomalies as draw_anomalies,
    gaussian_conditional as gaussian_conditional,
)
