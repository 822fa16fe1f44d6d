from .calibration import (
    SpreadCalibration as SpreadCalibration,
    cell_variances as cell_variances,
    conditional_means as conditional_means,
)
from .dispersion import (
    fit_dispersion as fit_dispersion,
)
from .draws import (
    conditional_draws as conditional_draws,
)
from .post_processing import (
    PostProcessing as PostProcessing,
    apply_marginals as apply_marginals,
    fit_post_processing as fit_post_processing,
    load_post_processing as load_post_processing,
    save_post_processing as save_post_processing,
)
