"""Figures as inline SVG, with the same bytes every time.

Intervals are bars, drawn by a template: a dot, a line, and where allowed values lie. Matplotlib
draws everything else; it is imported late because it takes half a second.
"""

import io
import math
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from assay.reports.colours import (
    ACCENT,
    BAD,
    DARK,
    GOOD,
    INK,
    LIGHT,
    LINE,
    SECOND,
    SOFT,
    THIRD,
    colour_of,
)
from assay.reports.templates import part, whole
from assay.text import interval_text, limit, one_line

WIDTH: Final = 2.6
"""Inches of a figure: 250 pixels, one in the narrowest frame and four in the widest."""
HEIGHT: Final = 2.4
"""Inches."""
SMALLEST_POINTS: Final = 8.5
"""Size of the smallest text of a figure: above 11 pixels."""
_MAX_TEXT: Final = 60
"""Characters."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval, to be drawn."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    allowed: str = ""
    """The comparison that the value has to satisfy: `>=`, `>`, `<=`, `<`, `==` or `!=`."""
    outcome: str = ""
    """Such as `pass`; decides the colour."""
    words: str = ""
    """The numbers in words; by default value and interval."""

    @property
    def text(self) -> str:
        """The numbers in words."""
        return self.words or interval_text(self.value, self.low, self.high, beside=self.threshold)

    @property
    def limit(self) -> str:
        """What is allowed, in words; "" where nothing is required."""
        return "" if self.threshold is None else limit(self.allowed, self.threshold)

    @property
    def colour(self) -> str:
        """The name of the colour of the dot and the line."""
        return colour_of(self.outcome)

    @property
    def numbers(self) -> list[float]:
        """All that is drawn."""
        given = (self.value, self.low, self.high, self.threshold)
        return [each for each in given if each is not None and math.isfinite(each)]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From a value to its place in per cent of the width."""

    low: float
    high: float

    @classmethod
    def of(cls, bars: Sequence[Bar], mark: float | None) -> "_Scale":
        """A scale on which all bars and the mark have room."""
        numbers = [each for bar in bars for each in bar.numbers]
        if mark is not None and math.isfinite(mark):
            numbers.append(mark)
        low, high = min(numbers, default=0.0), max(numbers, default=1.0)
        room = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room)

    def share(self, value: float) -> float:
        return 100 * min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def place(self, value: float) -> str:
        return f"{self.share(value):.2f}%"

    def place_of(self, value: float | None) -> str:
        """The place of what may have none; then it is ""."""
        return "" if value is None or not math.isfinite(value) else self.place(value)


@dataclass(frozen=True, slots=True)
class _Marks:
    """A bar and where its parts lie on the scale; "" and () for those that it has not."""

    bar: Bar
    scale: _Scale
    mark: str

    @property
    def allowed(self) -> tuple[str, str] | tuple[()]:
        """Begin and width of the allowed values."""
        if self.bar.threshold is None or self.bar.allowed not in {"<", "<=", ">", ">="}:
            return ()
        edge = self.scale.share(self.bar.threshold)
        if self.bar.allowed.startswith("<"):
            return "0.00%", f"{edge:.2f}%"
        return f"{edge:.2f}%", f"{100 - edge:.2f}%"

    @property
    def threshold(self) -> str:
        return self.scale.place_of(self.bar.threshold)

    @property
    def interval(self) -> tuple[str, str] | tuple[()]:
        if self.bar.low is None or self.bar.high is None:
            return ()
        return self.scale.place(self.bar.low), self.scale.place(self.bar.high)

    @property
    def value(self) -> str:
        return self.scale.place_of(self.bar.value)


def _marks(bars: Sequence[Bar], mark: float | None) -> list[_Marks]:
    scale = _Scale.of(bars, mark)
    return [_Marks(bar, scale, scale.place_of(mark)) for bar in bars]


def interval_bar(
    label: str,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    threshold: float | None = None,
    allowed: str = "",
    outcome: str = "",
) -> Markup:
    """One value with its interval beside a threshold, on a scale of its own.

    Args:
        label: Name of the value.
        value: None draws no dot.
        low: Lower end of the interval.
        high: Upper end of the interval.
        threshold: What the value is compared with.
        allowed: The comparison, as in `Bar`.
        outcome: Such as `pass`; decides the colour.

    Returns:
        HTML.
    """
    return interval_bars([Bar(label, value, low, high, threshold, allowed, outcome)])


def interval_bars(bars: Sequence[Bar], *, mark: float | None = None, note: str = "") -> Markup:
    """Values with their intervals on one scale, for a page.

    Text is HTML and places are shares of the width, so that it fits every frame and its text keeps
    its size.

    Args:
        bars: From top to bottom.
        mark: Where a dashed line goes through all of them, such as 0 or the value of all rows.
        note: A line below, such as what the dashed line is.

    Returns:
        HTML.
    """
    limits = {(bar.allowed, bar.threshold) for bar in bars}
    common = len(bars) > 1 and len(limits) == 1 and bars[0].threshold is not None
    if common:
        note = f"Allowed (shaded): {bars[0].limit}. {note}".rstrip()
    return part("bars", _marks(bars, mark), note, with_limits=not common)


def intervals(bars: Sequence[Bar], title: str, *, mark: float | None = None) -> str:
    """Values with their intervals on one scale, as a file of its own.

    Args:
        bars: From top to bottom; see `figure_text` for their labels.
        title: Heading, and text for those who do not see it.
        mark: Where a dashed line goes through all of them.

    Returns:
        SVG.
    """
    return whole("intervals.svg", bars=_marks(bars, mark), title=title, light=LIGHT, dark=DARK)


def roc(
    false_positive: Any,
    true_positive: Any,
    alt: str,
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> Markup:
    """A ROC curve beside the diagonal of a guess.

    Args:
        false_positive: Rates, ascending, in [0, 1].
        true_positive: Rates, as many.
        alt: Text for those who do not see it.
        width: Inches.
        height: Inches.

    Returns:
        SVG.
    """
    figure, axes = new_figure(width, height)
    axes.plot([0, 1], [0, 1], color="grey", lw=1, ls="--")
    axes.plot(false_positive, true_positive)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    return figure_svg(figure, alt)


def confusion(
    labels: Sequence[str],
    matrix: Any,
    alt: str,
    *,
    rotation: int,
    align: str = "center",
    numbers: bool = True,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> Markup:
    """A confusion matrix.

    Args:
        labels: Class names that matplotlib may draw (`figure_text`); empty names no class.
        matrix: Counts, actual by predicted class.
        alt: Text for those who do not see it.
        rotation: Of the labels of predicted classes, in degrees.
        align: Of these labels: `center`, or `right` for their ends at the ticks.
        numbers: Whether each cell shows its count.
        width: Inches.
        height: Inches.

    Returns:
        SVG.
    """
    figure, axes = new_figure(width, height)
    axes.imshow(matrix, cmap="Blues", aspect="auto")
    axes.grid(visible=False)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=rotation, ha=align)
    axes.set_yticks(ticks, labels)
    axes.set(xlabel="predicted", ylabel="actual", title="Confusion matrix")
    if numbers:
        middle = max(max(row) for row in matrix) / 2
        for i in ticks:
            for j in ticks:
                colour = "white" if matrix[i][j] > middle else "black"
                axes.text(j, i, str(matrix[i][j]), ha="center", va="center", color=colour)
    return figure_svg(figure, alt)


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> tuple[Any, Any]:
    """An empty matplotlib figure and its axes in the page's colours.

    Args:
        width: Inches.
        height: Inches.
    """
    # Not pyplot: it keeps figures alive, and picks a backend for the whole process.
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "font.size": SMALLEST_POINTS,
            "font.family": "DejaVu Sans",  # ships with matplotlib: the same layout everywhere
            "text.color": INK,
            "axes.labelcolor": SOFT,
            "axes.edgecolor": LINE,
            "axes.titlecolor": INK,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=[ACCENT, SECOND, THIRD, GOOD, BAD, SOFT]),
            "xtick.color": LINE,
            "ytick.color": LINE,
            "xtick.labelcolor": SOFT,
            "ytick.labelcolor": SOFT,
            "grid.color": LINE,
            "grid.linewidth": 0.7,
        }
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True)
    return figure, axes


def figure_svg(figure: Any, alt: str = "") -> Markup:
    """A matplotlib figure as inline SVG.

    Args:
        figure: The figure; closed when pyplot made it.
        alt: What it shows, for readers who cannot see it.
    """
    import matplotlib as mpl
    from matplotlib.text import Text

    buffer = io.StringIO()
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    # Without a fixed salt, ids are random; text as paths would depend on the fonts installed. A
    # dollar sign in a category would begin a formula, in texts that drawing makes too.
    settings: dict[Any, Any] = {
        "svg.hashsalt": "assay",
        "svg.fonttype": "none",
        "text.parse_math": False,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The reader's own fonts draw the text; only its width is guessed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close(figure)
    # The page is HTML: no XML prologue, no metadata block, and no rule that leaks into the page.
    _, _, svg = buffer.getvalue().partition("<svg ")
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace("*{stroke-linejoin: round; stroke-linecap: butt}", "")
    for name, colour in LIGHT.items():
        svg = svg.replace(f": {colour}", f": var(--{name})")
    return part("svg", alt, Markup(svg))  # noqa: S704 - matplotlib escapes the texts that it draws


def standalone_svg(svg: Markup) -> str:
    """A figure of `figure_svg` as a file of its own, with the colours that a page would give it."""
    opening, _, rest = svg.partition(">")
    return whole("standalone.svg", opening=opening, rest=rest, light=LIGHT, dark=DARK)


def figure_text(text: str) -> str:
    """Text of users for a figure: on one line, control characters visible, of bounded length."""
    shown = one_line(str(text))
    return shown if len(shown) <= _MAX_TEXT else f"{shown[: _MAX_TEXT - 1]}\u2026"


def legend(axes: Any) -> None:
    """A legend in the page's colours, below the axes: a small figure has no free place within."""
    axes.figure.legend(
        frameon=False,
        labelcolor=SOFT,
        fontsize=SMALLEST_POINTS,
        loc="outside lower center",
        ncols=2,
    )
