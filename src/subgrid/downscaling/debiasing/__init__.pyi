from .bias_adjustment import (
    fit_dynamical_transport as fit_dynamical_transport,
    fit_quantile_delta_mapping as fit_quantile_delta_mapping,
)
from .choice import AnomalySample as AnomalySample, choose_debiasing as choose_debiasing, n_fits as n_fits
from .dynamic import (
    bridge_drifts as bridge_drifts,
    check_levels as check_levels,
    fit_transport as fit_transport,
    linear_size as linear_size,
    paired as paired,
)
from .fit import (
    apply_debiaser as apply_debiaser,
    fit_debiaser_array as fit_debiaser_array,
)
from .settings import (
    DebiasSettings as DebiasSettings,
    EntropicSettings as EntropicSettings,
    TransportSettings as TransportSettings,
    debias_settings as debias_settings,
)
from .static import (
    Composed as Composed,
    NoDebiasing as NoDebiasing,
    QuantileMapping as QuantileMapping,
    VarianceScaling as VarianceScaling,
    fit_quantile_mapping as fit_quantile_mapping,
    fit_variance_scaling as fit_variance_scaling,
)
from .tried import DebiasingChoice as DebiasingChoice
