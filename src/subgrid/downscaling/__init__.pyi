from .ensemble_datasets import (
    conditions_dataset as conditions_dataset,
)
from .evaluation import (
    compare as compare,
    crps_and_spread as crps_and_spread,
    debiasing_error as debiasing_error,
    distribution_scores as distribution_scores,
    draw_conditions as draw_conditions,
    ensemble_rows as ensemble_rows,
    perfect_model_rows as perfect_model_rows,
    ranks as ranks,
)
from .function_fields import (
    FunctionFields as FunctionFields,
    fit_functions as fit_functions,
)
from .model.fit import fit as fit
from .model.folder import load as load
from .model.model import Model as Model
from .verifying.result import (
    Score as Score,
    Verification as Verification,
)
from .verifying.verify import (
    verify as verify,
)
