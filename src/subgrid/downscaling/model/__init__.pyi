from .blocks import time_blocks as time_blocks
from .coarsening import coarsening_of as coarsening_of, looks_periodic as looks_periodic
from .draws import Draws as Draws, SamplingSettings as SamplingSettings, draws_of as draws_of
from .fit import fit as fit
from .folder import (
    checkpoint_id as checkpoint_id,
    load as load,
    load_preparation as load_preparation,
    save_preparation as save_preparation,
)
from .model import Model as Model, prior_in_words as prior_in_words
from .request import Request as Request, request_of as request_of
from .sampler import Sampler as Sampler, sample_targets as sample_targets
from .settings import FitSettings as FitSettings
from .sides import (
    CoarseClimate as CoarseClimate,
    CoarseSide as CoarseSide,
    FineSide as FineSide,
    Reading as Reading,
)
