from .balance import (
    fit_balance as fit_balance,
)
from .ddpm import (
    Schedule as Schedule,
    ancestral_sample as ancestral_sample,
    as_denoiser as as_denoiser,
    cosine_schedule as cosine_schedule,
    ddim_sample as ddim_sample,
    linear_schedule as linear_schedule,
    noise_prediction_loss as noise_prediction_loss,
)
from .denoiser import (
    Preconditioned as Preconditioned,
    denoiser_from_noise as denoiser_from_noise,
    denoiser_from_score as denoiser_from_score,
    gaussian_denoiser as gaussian_denoiser,
    noise_from_denoiser as noise_from_denoiser,
    score_from_denoiser as score_from_denoiser,
)
from .driver import (
    Method as Method,
    denoise_once as denoise_once,
    draw as draw,
    draw_path as draw_path,
    evaluations_of_step as evaluations_of_step,
    no_memory as no_memory,
    sample as sample,
    sample_with as sample_with,
    white_start as white_start,
)
from .gaussian_conditional import (
    ConditionalGaussian as ConditionalGaussian,
    checked_noise_variance as checked_noise_variance,
    condition as condition,
    require_noise_shape as require_noise_shape,
)
from .gaussian_prior import (
    GaussianPrior as GaussianPrior,
    choose_n_components as choose_n_components,
    fit_gaussian_prior as fit_gaussian_prior,
    left_out_folds as left_out_folds,
    principal_components as principal_components,
)
from .gaussian_steps import (
    Gaussian as Gaussian,
    GaussianODE as GaussianODE,
    GaussianSDE as GaussianSDE,
    IsotropicGaussian as IsotropicGaussian,
    Residuals as Residuals,
    denoise as denoise,
    transition_variance as transition_variance,
)
from .likelihood import (
    log_likelihood as log_likelihood,
)
from .modewise import (
    Balance as Balance,
    ModewiseRefined as ModewiseRefined,
    modewise_error as modewise_error,
    modewise_loss as modewise_loss,
)
from .noise_levels import (
    central_grid as central_grid,
    exponential_grid as exponential_grid,
    karras_grid as karras_grid,
    time_grid as time_grid,
)
from .objective import (
    denoising_error as denoising_error,
    denoising_loss as denoising_loss,
    karras_weight as karras_weight,
    log_normal_levels as log_normal_levels,
    log_uniform_levels as log_uniform_levels,
    noise_weight as noise_weight,
    time_uniform_levels as time_uniform_levels,
    uniform_weight as uniform_weight,
)
from .particles import (
    ParticleDiagnostics as ParticleDiagnostics,
    Particles as Particles,
    effective_fraction as effective_fraction,
    effective_size as effective_size,
    sample_particles as sample_particles,
    systematic_resampling as systematic_resampling,
)
from .process import (
    CosineVariancePreserving as CosineVariancePreserving,
    Process as Process,
    VarianceExploding as VarianceExploding,
    VariancePreserving as VariancePreserving,
    drift_and_diffusion as drift_and_diffusion,
    perturb as perturb,
    prior_std as prior_std,
    rates as rates,
)
from .propagation import (
    moments_by_steps as moments_by_steps,
    sampled_moments as sampled_moments,
)
from .refinement import (
    Refined as Refined,
    residual_scale as residual_scale,
)
from .resampling import Resampled as Resampled
from .samplers import (
    Ancestral as Ancestral,
    AncestralMultistep as AncestralMultistep,
    Corrected as Corrected,
    EulerMaruyama as EulerMaruyama,
    ExponentialMultistep as ExponentialMultistep,
    Heun as Heun,
)
from .spectral_denoiser import (
    SpectralDenoiser as SpectralDenoiser,
    residual_weight as residual_weight,
    spectral_residual_scale as spectral_residual_scale,
)
from .stationary_prior import (
    fit_stationary_prior as fit_stationary_prior,
)
