from .langevin import (
    annealed_langevin as annealed_langevin,
    ula_step as ula_step,
)
