from .archive import (
    ensemble_of_runs_dataset as ensemble_of_runs_dataset,
    trajectory_dataset as trajectory_dataset,
)
from .batches import (
    draw_batch as draw_batch,
    random_shifts as random_shifts,
)
from .canonical import (
    check_climate as check_climate,
    open_climate as open_climate,
    valid_mask as valid_mask,
)
from .digits import (
    digit_shapes as digit_shapes,
    read_digits as read_digits,
)
from .fields import (
    DataError as DataError,
    Samples as Samples,
    channel_dims as channel_dims,
    hold_out as hold_out,
    open_field as open_field,
    sample_dims as sample_dims,
    samples_of as samples_of,
    space_dims as space_dims,
)
from .normalise import (
    Standardiser as Standardiser,
    fit_standardiser as fit_standardiser,
)
from .store import (
    OutputError as OutputError,
    OutputExists as OutputExists,
    check_free as check_free,
    output_kind as output_kind,
    read_arrays as read_arrays,
    remove as remove,
    write_arrays as write_arrays,
    write_dataset as write_dataset,
    write_json as write_json,
    write_text as write_text,
    write_whole as write_whole,
    write_zarr as write_zarr,
)
from .stream import StreamedFields as StreamedFields
