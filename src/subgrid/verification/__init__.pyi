from .block_means import (
    block_means as block_means,
    spread_skill_of_means as spread_skill_of_means,
    unbroken_stretches as unbroken_stretches,
)
from .cells import (
    fair_crps_per_cell as fair_crps_per_cell,
    spread_skill_per_channel as spread_skill_per_channel,
    wasserstein_1_per_cell as wasserstein_1_per_cell,
)
from .dependence import (
    DistanceBins as DistanceBins,
    correlation_matrix as correlation_matrix,
    correlation_rmse as correlation_rmse,
    correlogram as correlogram,
    decorrelation_length as decorrelation_length,
    great_circle_distances as great_circle_distances,
    rank_correlation as rank_correlation,
    variogram as variogram,
)
from .distributions import (
    covariance_rmse as covariance_rmse,
    kl_divergence as kl_divergence,
    kl_divergence_per_point as kl_divergence_per_point,
    maximum_mean_discrepancy as maximum_mean_discrepancy,
    wasserstein_1 as wasserstein_1,
)
from .effective import (
    covariance_dimension as covariance_dimension,
    covariance_rmse_floor as covariance_rmse_floor,
    effective_sample_size as effective_sample_size,
)
from .ensembles import (
    constraint_rmse as constraint_rmse,
    crps as crps,
    fair_crps as fair_crps,
    rank_histogram as rank_histogram,
    sample_variability as sample_variability,
    spread_skill_ratio as spread_skill_ratio,
)
from .enstrophy_flux import (
    enstrophy_flux as enstrophy_flux,
)
from .extremes import (
    QuantileTable as QuantileTable,
    ReturnLevel as ReturnLevel,
    fit_gev as fit_gev,
    gev_return_level as gev_return_level,
    quantile_table as quantile_table,
    return_level as return_level,
    segment_maxima as segment_maxima,
    wet_day_frequency as wet_day_frequency,
)
from .gaussian_divergence import (
    diagonal_gaussian_divergence as diagonal_gaussian_divergence,
    divergence_floor as divergence_floor,
)
from .level_sets import (
    area as area,
    eikonal_residual as eikonal_residual,
    perimeter as perimeter,
)
from .masks import (
    restore_cells as restore_cells,
    select_cells as select_cells,
    valid_cells as valid_cells,
)
from .mean_profile import (
    mean_profile as mean_profile,
    profile_amplitude as profile_amplitude,
    profile_anomalies as profile_anomalies,
)
from .memorisation import (
    NearestFields as NearestFields,
    nearest_fields as nearest_fields,
    nearest_images as nearest_images,
)
from .rank_tests import (
    FlatnessTest as FlatnessTest,
    flatness_of_shares as flatness_of_shares,
    rank_flatness_test as rank_flatness_test,
    ranks_of_truth as ranks_of_truth,
)
from .reliability import (
    ReliabilityDiagram as ReliabilityDiagram,
    SpreadErrorCurve as SpreadErrorCurve,
    reliability_diagram as reliability_diagram,
    spread_error_curve as spread_error_curve,
)
from .resampling import (
    MeanChange as MeanChange,
    kolmogorov_smirnov_resampled as kolmogorov_smirnov_resampled,
    mean_change as mean_change,
    run_weights as run_weights,
)
from .similarity import (
    kolmogorov_smirnov as kolmogorov_smirnov,
    source_distance as source_distance,
)
from .spectra import (
    energy_spectrum as energy_spectrum,
    mean_energy_log_ratio as mean_energy_log_ratio,
)
from .spells import (
    SpellStatistics as SpellStatistics,
    WarmSpells as WarmSpells,
    segments_by_gap as segments_by_gap,
    spell_lengths as spell_lengths,
    spell_statistics as spell_statistics,
    warm_spells as warm_spells,
    wet_and_dry_spells as wet_and_dry_spells,
)
from .sphere_spectra import (
    RadialSpectrum as RadialSpectrum,
    legendre_functions as legendre_functions,
    radial_spectrum as radial_spectrum,
    region_spacing as region_spacing,
    spectral_log_ratio as spectral_log_ratio,
    spherical_spectrum as spherical_spectrum,
)
from .tails import (
    kurtosis as kurtosis,
    log_density as log_density,
    tail_ratio as tail_ratio,
)
from .transport_distance import (
    wasserstein_2 as wasserstein_2,
)
