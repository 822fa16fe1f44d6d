from .conditions import (
    Conditions as Conditions,
    TrainingAnomalies as TrainingAnomalies,
)
from .prior import (
    RefinedPrior as RefinedPrior,
    load_refined_prior as load_refined_prior,
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
