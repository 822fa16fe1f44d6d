from .baselines import (
    fit_analogues as fit_analogues,
    fit_interpolated_quantile_mapping as fit_interpolated_quantile_mapping,
    fit_local_noise as fit_local_noise,
    fit_spatial_disaggregation as fit_spatial_disaggregation,
)
from .climatology import (
    fit_climatology as fit_climatology,
)
from .coarse_fit import (
    CoarseFit as CoarseFit,
    check_grid as check_grid,
    fit_coarse as fit_coarse,
    load_coarse as load_coarse,
    save_coarse as save_coarse,
)
from .conditions import (
    Conditions as Conditions,
    TrainingAnomalies as TrainingAnomalies,
)
from .domain import (
    Anomalies as Anomalies,
    Domain as Domain,
    Series as Series,
    change_kinds as change_kinds,
    fit_climate_debiaser as fit_climate_debiaser,
    series_of as series_of,
)
from .folder import checkpoint_id as checkpoint_id, time_blocks as time_blocks
from .model import (
    downscale_climate as downscale_climate,
    load_climate_model as load_climate_model,
    train_climate as train_climate,
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
    climate_sampler as climate_sampler,
    gaussian_conditional as gaussian_conditional,
    save_domain as save_domain,
)
