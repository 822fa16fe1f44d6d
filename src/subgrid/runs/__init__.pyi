from .comparison import candidate_table as candidate_table, kept as kept, require_candidates as require_candidates
from .config import (
    ConfigError as ConfigError,
    Configuration as Configuration,
    RunTable as RunTable,
    Table as Table,
    read_tables as read_tables,
    suggestion as suggestion,
)
from .documentation import (
    commented as commented,
    explain as explain,
)
from .estimates import (
    Estimate as Estimate,
)
from .experiment import (
    Experiment as Experiment,
    Folds as Folds,
    Recipe as Recipe,
    check_own_folder as check_own_folder,
    kind_of as kind_of,
    load_config as load_config,
)
from .folds import (
    run_folds as run_folds,
)
from .kinds import (
    Kind as Kind,
)
from .launch import (
    dry_run as dry_run,
)
from .page import (
    Page as Page,
    read_metrics as read_metrics,
    report_stage as report_stage,
    write_metrics as write_metrics,
)
from .publishing import (
    first_run as first_run,
    publish as publish,
)
from .run import (
    Run as Run,
)
from .runner import (
    Planned as Planned,
    Unfinished as Unfinished,
)
from .score_table import (
    ScoreTable as ScoreTable,
    columns_of as columns_of,
    read_table as read_table,
)
from .stage import (
    Stage as Stage,
    all_but as all_but,
)
