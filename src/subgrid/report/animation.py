"""Animations: figures frame by frame into a looping GIF, and a GIF as a plate of a page."""

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from subgrid.data.store import write_whole
from subgrid.report.plates import Plate

MILLISECONDS = 70
HOLD = 14
"""Frames that the end is shown for: a second at 70 milliseconds."""


def write_gif(
    path: str | Path, frames: Sequence[Figure], *, colours: int = 64, milliseconds: int = MILLISECONDS
) -> Path:
    """An animation, looping, the end held; replaced if it is there.

    Args:
        path: of the file.
        frames: figures of one size, in order.
        colours: of the palette, up to 256, which is that of the last frame; default 64.
        milliseconds: of a frame, default 70.

    Returns:
        The path.

    Raises:
        ValueError: without a frame.

    Examples:
        >>> write_gif("moons.gif", [draw_frame(paths, i) for i in range(40)])
    """
    from PIL import Image

    if not frames:
        raise ValueError("an animation needs at least one frame.")
    images = [_image(figure) for figure in frames]
    palette = images[-1].quantize(colours)
    first, *others = [
        image.quantize(palette=palette, dither=Image.Dither.NONE) for image in [*images, *[images[-1]] * HOLD]
    ]
    buffer = BytesIO()
    first.save(buffer, format="GIF", save_all=True, append_images=others, duration=milliseconds, loop=0, optimize=True)
    return write_whole(path, lambda partial: _write(partial, buffer.getvalue()), overwrite=True, kind="file")


def gif_plate(name: str, title: str, path: str | Path, *, alt: str, caption: str) -> Plate:
    """A GIF as a figure of a page.

    Args:
        name: of the plate.
        title: above it.
        path: of the GIF.
        alt: words for who cannot see it.
        caption: below it.

    Returns:
        The plate.
    """
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    source = f"data:image/gif;base64,{base64.b64encode(Path(path).read_bytes()).decode('ascii')}"
    return Plate(name, title, source, width, height, alt, caption)


def _image(figure: Figure):
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
