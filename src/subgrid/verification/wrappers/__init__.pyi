from .climate import (
    correlation_rmse as correlation_rmse,
    precipitation_indices as precipitation_indices,
    quantile_table as quantile_table,
    radial_spectrum as radial_spectrum,
    return_level as return_level,
    variogram as variogram,
    warm_spells as warm_spells,
    wasserstein_1_per_cell as wasserstein_1_per_cell,
)
from .ensembles import (
    constraint_rmse as constraint_rmse,
    crps as crps,
    fair_crps as fair_crps,
    rank_histogram as rank_histogram,
    sample_variability as sample_variability,
    spread_skill_ratio as spread_skill_ratio,
)
from .fields import (
    covariance_rmse as covariance_rmse,
    energy_spectrum as energy_spectrum,
    kl_divergence as kl_divergence,
    kl_divergence_per_point as kl_divergence_per_point,
    maximum_mean_discrepancy as maximum_mean_discrepancy,
    mean_energy_log_ratio as mean_energy_log_ratio,
    wasserstein_1 as wasserstein_1,
)
