from .health import (
    Status as Status,
    repair as repair,
    status as status,
)
from .runners import (
    parse_scheduler as parse_scheduler,
)
from .sampling import (
    loader_of as loader_of,
)
from .store import (
    Store as Store,
    open_store as open_store,
)
from .template import (
    Template as Template,
    create_store as create_store,
)
