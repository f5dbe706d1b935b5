"""Draws the products. A drawing is the inside of an SVG with named colours; a palette fills them in.

The catalogue says of each product what kind of thing it is and in which colour, and knows nothing of drawings.
"""

from functools import lru_cache
from pathlib import Path
from string import Template

DRAWINGS = Path(__file__).parent / "drawings"

# What is drawn where there is no drawing of a kind, or no such colour.
ANY_KIND = "parcel"
ANY_COLOUR = "sand"

PALETTES: dict[str, dict[str, str]] = {
    "clay": {"base": "#bf6f4f", "dark": "#87452c", "light": "#dfae97", "ground": "#f7ebe4"},
    "honey": {"base": "#dba748", "dark": "#a87722", "light": "#f0d190", "ground": "#faf2df"},
    "ink": {"base": "#43516c", "dark": "#232d42", "light": "#7f8eac", "ground": "#e8ebf1"},
    "moss": {"base": "#6d7c46", "dark": "#434f27", "light": "#a9b387", "ground": "#eff1e5"},
    "rose": {"base": "#d09b9b", "dark": "#9e6768", "light": "#e9caca", "ground": "#f9efee"},
    "sage": {"base": "#97af95", "dark": "#66846a", "light": "#c8d6c5", "ground": "#edf2eb"},
    "sand": {"base": "#ccb894", "dark": "#997f57", "light": "#e6dac2", "ground": "#f6f1e7"},
    "sky": {"base": "#8bb1cd", "dark": "#547f9f", "light": "#c1d8e8", "ground": "#ecf3f8"},
}

# The same in every palette: wood, metal, fire, leaves.
COMMON = {
    "cream": "#fdf9f1",
    "flame": "#d9963a",
    "glow": "#fbe3a6",
    "leaf": "#7d9a6c",
    "leafDark": "#5f7f55",
    "leafLine": "#3f5c3b",
    "sandLine": "#d9c9a8",
    "steel": "#c3c8cd",
    "steelDark": "#8d949b",
    "water": "#8bb1cd",
    "wood": "#c89c68",
    "woodDark": "#94693c",
}

FRAME = Template(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400">'
    '<rect width="400" height="400" fill="$ground"/>'
    '<ellipse cx="200" cy="322" rx="128" ry="14" fill="$dark" opacity=".14"/>$drawing</svg>\n'
)


def kinds() -> frozenset[str]:
    """Every kind of thing that there is a drawing of."""
    return frozenset(path.stem for path in DRAWINGS.glob("*.svg"))


def picture_name(kind: str, colour: str) -> str:
    """The name of the picture that shows a product best, which is always one that `draw` knows."""
    known_kind = kind if kind in _KINDS else ANY_KIND
    return f"{known_kind}-{colour if colour in PALETTES else ANY_COLOUR}"


@lru_cache(maxsize=512)
def draw(name: str) -> str | None:
    """The picture of this name, such as `mug-sage`; none if there is no such drawing or colour."""
    kind, _, colour = name.rpartition("-")
    if kind not in _KINDS or colour not in PALETTES:
        return None
    colours = {**COMMON, **PALETTES[colour]}
    inside = Template((DRAWINGS / f"{kind}.svg").read_text(encoding="utf-8"))
    return FRAME.substitute(colours, drawing=inside.substitute(colours))


_KINDS = kinds()
