from .gaussian_part import (
    blank_gaussian_part as blank_gaussian_part,
    gaussian_part_of as gaussian_part_of,
)
from .model import (
    Prior as Prior,
    PriorSettings as PriorSettings,
    build_denoiser as build_denoiser,
    build_network as build_network,
    is_trained as is_trained,
    load_prior as load_prior,
    train_prior as train_prior,
)
from .noise_range import (
    leading_std as leading_std,
    sampling_range as sampling_range,
    solves_gaussians as solves_gaussians,
)
from .novelty import (
    Outside as Outside,
    outside as outside,
)
from .training import (
    TrainingFields as TrainingFields,
    TrainingSettings as TrainingSettings,
    loss_curve as loss_curve,
    standardiser_of as standardiser_of,
    train_on_fields as train_on_fields,
)
