from .bridge import (
    Bridge as Bridge,
    ProbabilityFlow as ProbabilityFlow,
    bridge_point as bridge_point,
    bridge_times as bridge_times,
    drift_loss as drift_loss,
    sample_bridge as sample_bridge,
    sample_bridge_path as sample_bridge_path,
)
from .bridge_diagnostics import (
    BridgeDiagnostics as BridgeDiagnostics,
    diagnose as diagnose,
    log_diagnostics as log_diagnostics,
    sliced_distance as sliced_distance,
)
from .bridge_fitting import (
    BridgeSettings as BridgeSettings,
    Drifts as Drifts,
    Progress as Progress,
    fit_bridge as fit_bridge,
    restarting_cosine as restarting_cosine,
    simulate_pairs as simulate_pairs,
)
from .couplings import (
    Coupling as Coupling,
    EntropicTransport as EntropicTransport,
    ExactTransport as ExactTransport,
    Independent as Independent,
    assignment as assignment,
    draw_columns as draw_columns,
    sinkhorn_plan as sinkhorn_plan,
    squared_distances as squared_distances,
)
from .ends import (
    Ends as Ends,
    Pairs as Pairs,
    draw_pairs as draw_pairs,
    take_pairs as take_pairs,
)
from .flow_matching import (
    Flow as Flow,
    diffuse as diffuse,
    fit_flow as fit_flow,
    flow_log_likelihood as flow_log_likelihood,
    flow_map as flow_map,
    flow_matching_loss as flow_matching_loss,
)
from .gaussian import (
    GaussianMap as GaussianMap,
    fit_gaussian_map as fit_gaussian_map,
    monge_matrix as monge_matrix,
    square_roots as square_roots,
)
from .gaussian_bridge import (
    GaussianBridge as GaussianBridge,
    bridge_velocity as bridge_velocity,
    gaussian_schroedinger_bridge as gaussian_schroedinger_bridge,
    markovian_coupling as markovian_coupling,
    require_positive_sigma as require_positive_sigma,
)
from .interpolants import (
    Coefficients as Coefficients,
    EncodingDecoding as EncodingDecoding,
    Interpolant as Interpolant,
    LinearInterpolant as LinearInterpolant,
    Trigonometric as Trigonometric,
    VariancePreservingInterpolant as VariancePreservingInterpolant,
    gaussian_velocity as gaussian_velocity,
    interpolate as interpolate,
    rates as rates,
    require_times_where_regular as require_times_where_regular,
)
from .linear_velocity import (
    CorrectedVelocity as CorrectedVelocity,
    LinearVelocity as LinearVelocity,
    tabulate as tabulate,
)
from .rectified_flow import (
    Straightness as Straightness,
    fit_rectified_flow as fit_rectified_flow,
    reflow_pairs as reflow_pairs,
    straightness as straightness,
)
from .reduced import (
    ReducedMap as ReducedMap,
    ReducedSummary as ReducedSummary,
    fit_reduced_map as fit_reduced_map,
    principal_components as principal_components,
)
from .shifts import (
    ExactTransportUpToShifts as ExactTransportUpToShifts,
    align_pairs as align_pairs,
    correlation as correlation,
    nearest_shift as nearest_shift,
)
from .shrinkage import (
    fit_shrunk_gaussian_map as fit_shrunk_gaussian_map,
    ledoit_wolf as ledoit_wolf,
)
from .sinkhorn import (
    EntropicMap as EntropicMap,
    SinkhornNotConverged as SinkhornNotConverged,
    SinkhornSummary as SinkhornSummary,
    fit_entropic_map as fit_entropic_map,
    suggested_epsilon as suggested_epsilon,
)
from .spectral_bridge import (
    RefinedDrift as RefinedDrift,
    RefinedVelocity as RefinedVelocity,
    SpectralBridge as SpectralBridge,
    projecting_independent_ends as projecting_independent_ends,
)
from .unpaired import (
    require_same_fields as require_same_fields,
)
from .velocity import (
    NetworkDrift as NetworkDrift,
    NetworkVelocity as NetworkVelocity,
)
