"""A picture of how costs grow with the fleet: curves on two logarithmic axes, as SVG."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 900, 480, 60, 40, 420, 380
Place = Callable[[float], float]
COLOURS = (
    *("#1b6ca8", "#c44536", "#2e8b57", "#8a5a00", "#6a3d9a", "#00808a", "#b0307a", "#555555"),
    *("#9a7d0a", "#3b5b92"),
)


def draw(path: Path, sizes: Sequence[int], curves: Mapping[str, Sequence[float]]) -> None:
    """Write the picture, without the curves that have a value of 0."""
    drawn = {label: took for label, took in curves.items() if min(took) > 0}
    if not drawn:
        return
    values = [value for took in drawn.values() for value in took]
    low, high = floor(log10(min(values))), max(ceil(log10(max(values))), 1)
    first, last = log10(sizes[0]), log10(sizes[-1])

    def x(size: float) -> float:
        return LEFT + (log10(size) - first) / (last - first) * PLOT_WIDTH

    def y(value: float) -> float:
        return TOP + (high - log10(value)) / (high - low) * PLOT_HEIGHT

    lines = [*_axes(sizes, range(low, high + 1), x, y)]
    for number, (label, took) in enumerate(drawn.items()):
        colour, dash = COLOURS[number % len(COLOURS)], ("", "6 3")[number // len(COLOURS) % 2]
        points = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in zip(sizes, took, strict=True))
        stroke = f'stroke="{colour}" stroke-dasharray="{dash}" stroke-width="2"'
        slope = log10(took[-1] / took[0]) / (last - first)
        below = TOP + 10 + 20 * number
        lines += [
            f'<polyline points="{points}" fill="none" {stroke}/>',
            f'<path d="M{LEFT + PLOT_WIDTH + 20} {below} h24" {stroke}/>',
            _text(LEFT + PLOT_WIDTH + 50, below + 4, f"{label} ({slope:+.2f})"),
        ]
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    back = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    path.write_text("\n".join([head, back, *lines, "</svg>", ""]))


def _axes(sizes: Sequence[int], powers: range, x: Place, y: Place) -> Iterator[str]:
    """The frame: a line for each power of ten, and one for each size."""
    for power in powers:
        at = y(10.0**power)
        yield f'<path d="M{LEFT} {at:.1f} h{PLOT_WIDTH}" stroke="#dddddd"/>'
        yield _text(LEFT - 8, at + 4, f"{10.0**power:g}", "end")
    for size in sizes:
        yield f'<path d="M{x(size):.1f} {TOP} v{PLOT_HEIGHT}" stroke="#dddddd"/>'
        yield _text(x(size), TOP + PLOT_HEIGHT + 20, f"{size:,}", "middle")
    yield _text(LEFT, TOP - 16, "ms, or percent of a core; in brackets the exponent")
    yield _text(LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + 42, "workspaces", "middle")


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} font-size="12" fill="#222222">{escape(words.replace("`", ""))}</text>'
