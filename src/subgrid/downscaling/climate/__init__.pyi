from .baselines import (
    fit_analogues as fit_analogues,
    fit_interpolated_quantile_mapping as fit_interpolated_quantile_mapping,
    fit_local_noise as fit_local_noise,
    fit_spatial_disaggregation as fit_spatial_disaggregation,
)
from .coarse_fit import (
    AnomalyDebiasing as AnomalyDebiasing,
    FittedOn as FittedOn,
    check_grid as check_grid,
    fit_coarse as fit_coarse,
)
from .domain import (
    Domain as Domain,
    fine_side as fine_side,
    fit_anomalies as fit_anomalies,
)
