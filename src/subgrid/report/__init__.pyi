from .comparison import (
    Comparison as Comparison,
)
from .figures import (
    bare as bare,
)
from .page import (
    duration as duration,
    render_page as render_page,
)
from .plates import (
    Plate as Plate,
    Section as Section,
    embed as embed,
)
from .plots import (
    members as members,
    reliability as reliability,
    score_map as score_map,
)
from .summaries import (
    density as density,
    effective_points as effective_points,
    smoothed_magnitude as smoothed_magnitude,
)
