"""Figures in the page: each in the smaller of its forms, with the numbers that it shows."""

import base64
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

# A larger drawing gives way to its picture, if that is smaller.
MOST_BYTES = 150_000
# Larger tables of numbers stay in their files.
MOST_SOURCE_BYTES = 150_000
PIXELS_PER_INCH, CSS_PIXELS_PER_INCH = 200, 96
POINTS_PER_INCH = 72
# Letters of 7 points are for paper; a screen is farther away.
MAGNIFICATION = 1.3
# Enough for what our figures hold, at a third of the size.
COLOURS = 256


class Picture(NamedTuple):
    """A figure in the page.

    Parameters
    ----------
    name, title
        Of its file, and above it.
    markup
        The picture.
    caption
        How to read it.
    folded
        Whether the reader unfolds it, because it is long.
    source
        The numbers that it shows, tab-separated; empty where they are many.
    """

    name: str
    title: str
    markup: Markup
    caption: str
    folded: bool = False
    source: str = ""


def pictures_of(
    figures: Sequence[Path | str],
    captions: Mapping[str, tuple[str, str]],
    folded: Collection[str] = (),
) -> list[Picture]:
    """Read figures into the page, each in the smaller of its forms that will do.

    Parameters
    ----------
    figures
        Files, SVG, PNG and TSV of the same name; others are passed over.
    captions
        Title and caption by name of the file without its ending, in the order wanted. Figures
        without a caption come last, under their name.
    folded
        Names of figures that the reader unfolds.

    Returns
    -------
    list of Picture
        The SVG where it has at most `MOST_BYTES`; else the smaller of SVG and PNG.
    """
    forms: dict[str, dict[str, Path]] = {}
    for figure in map(Path, figures):
        forms.setdefault(figure.stem, {})[figure.suffix] = figure
    order = [
        *(name for name in captions if name in forms),
        *(n for n in forms if n not in captions),
    ]
    pictures = []
    for name in order:
        title, caption = captions.get(name, (name.replace("_", " "), ""))
        if markup := _markup(forms[name], f"{title}. {caption}"):
            source = _source(forms[name].get(".tsv"))
            pictures.append(Picture(name, title, markup, caption, name in folded, source))
    return pictures


def _markup(forms: Mapping[str, Path], words: str) -> Markup:
    svg, png = forms.get(".svg"), forms.get(".png")
    drawing = _drawing(svg, words) if svg else Markup("")
    if not png or (drawing and len(drawing) <= MOST_BYTES):
        return drawing
    picture = _photograph(png, words)
    return drawing if drawing and len(drawing) < len(picture) else picture


def _drawing(path: Path, words: str) -> Markup:
    """Embed a vector drawing as a picture, so that its thousand parts do not slow the page."""
    text = path.read_text(encoding="utf-8")
    svg = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    head = svg[: svg.index(">")]
    size = [float(re.search(rf'{side}="([\d.]+)', head)[1]) for side in ("width", "height")]  # type: ignore[index]
    inches = [points / POINTS_PER_INCH for points in size]
    return _image("image/svg+xml", svg.encode("utf-8"), inches, words)


def _photograph(path: Path, words: str) -> Markup:
    from PIL import Image

    with Image.open(path) as image:
        few = image.convert("RGB").quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
    reduced = few.convert("RGB")
    buffer = io.BytesIO()
    reduced.save(buffer, format="webp", lossless=True, quality=20, method=1)
    inches = [pixels / PIXELS_PER_INCH for pixels in reduced.size]
    return _image("image/webp", buffer.getvalue(), inches, words)


def _image(kind: str, content: bytes, inches: Sequence[float], words: str) -> Markup:
    width, height = (round(MAGNIFICATION * CSS_PIXELS_PER_INCH * side) for side in inches)
    encoded = base64.b64encode(content).decode("ascii")
    return Markup(
        '<img alt="{}" width="{}" height="{}" decoding="async" src="data:{};base64,{}">'
    ).format(words, width, height, kind, encoded)


def _source(path: Path | None) -> str:
    if path is None or path.stat().st_size > MOST_SOURCE_BYTES:
        return ""
    return path.read_text(encoding="utf-8")
