from .pooling import (
    ClimateField as ClimateField,
    file_of as file_of,
    member_label as member_label,
    member_labels as member_labels,
    pool as pool,
)
