from .ensemble_datasets import (
    conditions_dataset as conditions_dataset,
    ensemble_coordinates as ensemble_coordinates,
    ensemble_dataset as ensemble_dataset,
)
from .evaluation import (
    compare as compare,
    debiasing_error as debiasing_error,
    distribution_scores as distribution_scores,
    draw_conditions as draw_conditions,
    ensemble_rows as ensemble_rows,
    perfect_model_rows as perfect_model_rows,
    ranks as ranks,
)
from .pipeline import (
    downscale as downscale,
    fit_debiaser as fit_debiaser,
    train as train,
    train_conditional as train_conditional,
)
from .verifying.result import (
    Score as Score,
    Verification as Verification,
)
from .verifying.verify import (
    verify as verify,
)
