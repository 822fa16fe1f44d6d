from .bcsd import (
    BCSD as BCSD,
    Interpolated as Interpolated,
    anomaly as anomaly,
    cubic_upsampler as cubic_upsampler,
    fit_bcsd as fit_bcsd,
    upon as upon,
    whole_factors as whole_factors,
)
