"""Plates: figures ready for a page, embedded as data URIs, with a caption and words for who cannot see them."""

import base64
import io
from dataclasses import dataclass

from matplotlib.figure import Figure

PIXELS_PER_INCH = 96
IMAGE_DPI = 220


@dataclass(frozen=True)
class Plate:
    """One figure, ready to embed as `source`, or to write as `content` into a file called `file`.

    Args:
        name: of the file, without its ending.
        title: above the figure.
        source: a data URI.
        width: CSS pixels.
        height: CSS pixels.
        alt: words for who cannot see the figure.
        caption: below the figure.
    """

    name: str
    title: str
    source: str
    width: int
    height: int
    alt: str
    caption: str

    @property
    def file(self) -> str:
        """The name with the ending of its format."""
        kind = self.source.removeprefix("data:image/").partition(";")[0].partition("+")[0]
        return f"{self.name}.{kind}"

    @property
    def content(self) -> bytes:
        """What the data URI holds."""
        return base64.b64decode(self.source.partition(",")[2])


@dataclass(frozen=True)
class Section:
    """Plates under one heading.

    Args:
        name: that links lead to.
        heading: as it is shown.
        lead: a sentence or two below the heading.
        plates: in reading order.
    """

    name: str
    heading: str
    lead: str
    plates: list[Plate]


def embed(figure: Figure, *, image: bool = False) -> tuple[str, int, int]:
    """The figure as a data URI: SVG, or PNG where most of it is an image.

    Args:
        figure: of matplotlib.
        image: whether it becomes a PNG; default False.

    Returns:
        The URI, and width and height in CSS pixels.

    Examples:
        >>> source, width, height = embed(figure)
    """
    buffer = io.BytesIO()
    if image:
        figure.savefig(buffer, format="png", dpi=IMAGE_DPI, metadata={"Software": None})
    else:
        figure.savefig(buffer, format="svg", dpi=IMAGE_DPI, metadata={"Date": None, "Creator": None})
    width, height = (round(inches * PIXELS_PER_INCH) for inches in figure.get_size_inches())
    kind = "png" if image else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}", width, height
