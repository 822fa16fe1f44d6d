from .adversarial import (
    Players as Players,
    adversarial_loss as adversarial_loss,
    held_fixed as held_fixed,
    two_optimisers as two_optimisers,
)
from .checkpoint import (
    CheckpointMismatch as CheckpointMismatch,
    Checkpoints as Checkpoints,
    load_weights as load_weights,
    save_weights as save_weights,
)
from .distributed import (
    any_process as any_process,
    is_first_process as is_first_process,
    join_from_text as join_from_text,
    join_processes as join_processes,
    mesh as mesh,
    replicated as replicated,
    require_same_step as require_same_step,
    split_batch as split_batch,
    to_devices as to_devices,
    to_host_and_back as to_host_and_back,
    wait_for_all as wait_for_all,
)
from .ema import (
    Average as Average,
    init_average as init_average,
    update_average as update_average,
)
from .feed import (
    Dispatch as Dispatch,
    Streamed as Streamed,
    as_read as as_read,
    dispatches as dispatches,
)
from .fitting import (
    TrainingDiverged as TrainingDiverged,
    TrainingSchedule as TrainingSchedule,
    fit as fit,
    warmup_cosine as warmup_cosine,
)
from .interruption import (
    TrainingInterrupted as TrainingInterrupted,
    answered as answered,
)
from .log import (
    all_of as all_of,
    json_lines as json_lines,
    read_json_lines as read_json_lines,
    tensorboard as tensorboard,
)
from .origin import (
    digest as digest,
    key_data as key_data,
    require_same_origin as require_same_origin,
)
from .progress import (
    Update as Update,
    progress as progress,
    recording as recording,
    say as say,
    starts_at as starts_at,
    training_progress as training_progress,
)
from .steps import (
    State as State,
    averaged_model as averaged_model,
    compile_steps as compile_steps,
    init_state as init_state,
    is_trained as is_trained,
)
