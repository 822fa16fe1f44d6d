from .divergence import (
    exact_divergence as exact_divergence,
    hutchinson_divergence as hutchinson_divergence,
)
from .integration import (
    euler_maruyama as euler_maruyama,
    euler_maruyama_path as euler_maruyama_path,
    euler_step as euler_step,
    heun_step as heun_step,
    integrate as integrate,
    integrate_path as integrate_path,
    midpoint_step as midpoint_step,
    runge_kutta_step as runge_kutta_step,
)
from .localisation import (
    gaspari_cohn as gaspari_cohn,
)
from .modes import (
    Box as Box,
)
from .noise import (
    standard_normal as standard_normal,
)
from .operators import (
    BlockMean as BlockMean,
    PaddedCoarsening as PaddedCoarsening,
    SparseCoarsening as SparseCoarsening,
    Subsample as Subsample,
)
from .signed_distance import (
    signed_distance as signed_distance,
)
from .spectra import (
    Flat as Flat,
    MeasuredSpectrum as MeasuredSpectrum,
    PowerLaw as PowerLaw,
    Spectrum as Spectrum,
    limit_variance as limit_variance,
    measure_spectrum as measure_spectrum,
    point_variance as point_variance,
)
from .spectral import (
    DeviceStatistics as DeviceStatistics,
    ModeStatistics as ModeStatistics,
    amplitude as amplitude,
    filtered as filtered,
    low_pass as low_pass,
    mode_statistics as mode_statistics,
    refine as refine,
    root_mean_square as root_mean_square,
    translate as translate,
)
from .spectral_cutoff import (
    SpectralCutoff as SpectralCutoff,
)
from .stratified import (
    stratified_uniforms as stratified_uniforms,
)
from .streams import (
    draw_keys as draw_keys,
    stream as stream,
    substream as substream,
)
from .symmetries import (
    Symmetry as Symmetry,
    SymmetryGroup as SymmetryGroup,
    augmented as augmented,
    kolmogorov_symmetries as kolmogorov_symmetries,
    random_images as random_images,
    shifts as shifts,
)
