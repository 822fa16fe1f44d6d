"""What every experiment shares: configuration, stages, records, random streams, score tables, pages, publishing.

An experiment says what it makes and from what (`Experiment`, `Stage`). Order, skipping, resuming, refusing, timing,
progress, locking, reporting and publishing are written here, once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["ConfigError", "RunTable", "Table"],
        "experiment": ["Experiment", "Recipe", "open_run"],
        "page": ["Page", "report_stage"],
        "publishing": ["publish"],
        "record": ["Record", "read_record"],
        "run": ["Run"],
        "runner": ["Unfinished", "make_stages", "plan"],
        "score_table": ["ScoreTable"],
        "stage": ["Stage", "all_but"],
    },
)
