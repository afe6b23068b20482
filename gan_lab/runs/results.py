"""What came of a run in one picture: losses, gradient norms, scores and figures by step, and what the watch found."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_lab import pictures
from gan_lab.storage.files import is_ours
from gan_lab.storage.sides import better
from gan_lab.wording import counted, shortened

WIDTH, PANEL_HEIGHT, HEAD, FOOT, LINE = 1200, 285, 54, 40, 19  # pixels; LINE of each finding below
AROUND = 52, 28, 48, 24  # pixels left of a panel's frame, right, above and below
COLOURS = (pictures.BLUE, pictures.ORANGE, pictures.GREEN, pictures.VIOLET, "#b03060", "#8a6d1d", "#3d9db3", "#6b6b6b")
DASHES = ("-", "--", ":", "-.")
ALERT, NOTE = "#c62828", "#5f6b7a"  # what the watch found, and its rollbacks
TOGETHER = 6  # terms of all players in one panel, at most
MOST_POINTS = 500  # of a line: rows beyond are averaged
SMOOTH_FROM = 40  # points, from which on a running mean is drawn over them
WIDE = 30  # times as large as the smallest, where a scale is logarithmic
LISTED = 8  # findings below the panels, the last ones
REPORT = "evaluation/"  # of `gan-lab evaluate`, made by other protocols than those of the training


@dataclass
class Curve:
    label: str
    column: str
    colour: str
    dash: str = "-"


@dataclass
class Panel:
    """Curves on one scale; those of a figure are few points, the best of which is marked."""

    title: str
    curves: list[Curve]
    figure: str = ""  # its name


def draw(rows: Sequence[Mapping[str, str]], summary: Mapping[str, Any], path: Path) -> bool:
    """Draw the rows of a run's metrics.csv and the findings in its summary as a PNG; whether a line has two points.

    The same rows make the same pixels. Raises OSError where somebody else's picture lies there.
    """
    steps = np.array([float(row["step"]) for row in rows])
    columns = {name: numbers(rows, name) for name in dict.fromkeys(name for row in rows for name in row)}
    panels = panels_of([name for name, values in columns.items() if np.isfinite(values).sum() > 1], summary)
    if not panels:
        return False
    across = 2 if len(panels) <= 4 else 3
    down = math.ceil(len(panels) / across)
    findings = [entry for entry in summary.get("health", []) if entry["step"] >= steps[0]]
    foot = FOOT + LINE * min(len(findings), LISTED + 1)
    height = HEAD + PANEL_HEIGHT * down + foot
    with pictures.figure(height, WIDTH) as sheet:
        write_head(sheet, summary, int(steps[-1]), height)
        for i, panel in enumerate(panels):
            (left, right, top, bottom), wide = AROUND, WIDTH / across
            x, y = i % across * wide + left, height - HEAD - (i // across + 1) * PANEL_HEIGHT + bottom
            box = (x / WIDTH, y / height, (wide - left - right) / WIDTH, (PANEL_HEIGHT - top - bottom) / height)
            axes = sheet.add_axes(box, xlim=(steps[0], steps[-1]))
            draw_panel(axes, panel, steps, columns)
            mark(axes, findings, steps[-1])
            axes.set_xlabel("step" if i + across >= len(panels) else "", labelpad=2)
        write_foot(sheet, findings, height)
        array = pictures.pixels(sheet)
    if path.exists() and not is_ours(path):
        raise OSError("a picture of that name lies there that gan-lab did not draw")
    pictures.save_png(array, path, software="gan-lab")
    return True


def numbers(rows: Sequence[Mapping[str, str]], name: str) -> np.ndarray:
    """A column as numbers, nan where a row has none, or none that is finite."""
    if name in ("step", "protocol"):
        return np.full(len(rows), np.nan)
    values = np.array([float(row.get(name) or "nan") for row in rows])
    return np.where(np.abs(values) < 1e30, values, np.nan)


def panels_of(names: list[str], summary: Mapping[str, Any]) -> list[Panel]:
    """What is drawn, of columns with two values and more: losses, gradients, scores, and each figure by itself."""
    terms = [name.split("/", 2)[1:] for name in names if name.startswith("loss/") and name.count("/") == 2]
    norms = [name for name in names if name.startswith("grad_norm/")]
    players = list(dict.fromkeys([player for player, _ in terms] + [name.partition("/")[2] for name in norms]))
    colour = {player: COLOURS[i % len(COLOURS)] for i, player in enumerate(players)}
    of = {player: [term for owner, term in terms if owner == player] for player in players}
    if len(terms) <= TOGETHER:
        plain = all(term == "adversarial" for _, term in terms)
        together = [
            Curve(
                player if plain else f"{player}: {spaced(term)}", f"loss/{player}/{term}", colour[player], DASHES[i % 4]
            )
            for player in players
            for i, term in enumerate(of[player])
        ]
        panels = [Panel("Losses", together)]
    else:
        panels = [
            Panel(f"Losses of the {spaced(player)}", [
                Curve(spaced(term), f"loss/{player}/{term}", COLOURS[i % 8], DASHES[i // 8 % 4])
                for i, term in enumerate(of[player])
            ])
            for player in players
        ]  # fmt: skip
    panels.append(Panel("Gradient norms", [Curve(n.partition("/")[2], n, colour[n.partition("/")[2]]) for n in norms]))
    scores = [(name, re.fullmatch(r"([^/]+)/score_(real|fake)(.*)", name)) for name in names]
    kinds = {"real": ("real", pictures.GREY), "fake": ("generated", pictures.GREEN)}
    given = [(name, *kinds[found[2]], spaced(found[3])) for name, found in scores if found]
    sides = list(dict.fromkeys(side for *_, side in given))
    panels.append(
        Panel(
            "Scores of samples",
            [Curve(f"{kind}{side}", n, c, DASHES[sides.index(side) % 4]) for n, kind, c, side in given],
        )
    )
    figures = [name for name in names if name in summary.get("figures", {}) and not name.startswith(REPORT)]
    arrows = {1: " \N{UPWARDS ARROW}", -1: " \N{DOWNWARDS ARROW}", 0: ""}  # where it is better
    panels += [
        Panel(f"{name.removeprefix('exact/')}{arrows[better(name)]}", [Curve("", name, pictures.VIOLET)], name)
        for name in figures
    ]
    return [panel for panel in panels if panel.curves]


def spaced(word: str) -> str:
    return word.replace("_", " ")


# ---- one panel ------------------------------------------------------------------------------------------------------


def draw_panel(axes, panel: Panel, steps: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    shown = []
    for curve in panel.curves:
        there = np.isfinite(columns[curve.column])
        x, y = steps[there], columns[curve.column][there]
        shown.append(y)
        look = {"color": curve.colour, "linestyle": curve.dash, "label": curve.label}
        if panel.figure:
            axes.plot(x, y, "o-", linewidth=1.6, markersize=4 if len(x) < 60 else 0, **look)
            mark_best(axes, x, y, better(panel.figure))
            continue
        x, y = thinned(x), thinned(y)
        if len(x) >= SMOOTH_FROM:
            axes.plot(x, y, color=curve.colour, linewidth=0.8, alpha=0.25)
            y = smoothed(y)
        axes.plot(x, y, linewidth=1.6, **look)
    crowded = sum(40 + 6 * len(curve.label) for curve in panel.curves) > axes.bbox.width  # for a legend of one line
    fit(axes, np.concatenate(shown), above=0.1 * -(-len(shown) // 2) if crowded else 0.0, log=better(panel.figure) <= 0)
    axes.grid(color="#ededed", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_title(panel.title, fontweight="bold", pad=6 if panel.figure or crowded else 18)
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if not panel.figure:
        look = {"fontsize": 8, "handlelength": 1.6, "columnspacing": 1.2, "handletextpad": 0.4, "borderaxespad": 0.1}
        if crowded:
            axes.legend(loc="upper right", ncols=2, **look)
        else:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=len(panel.curves), **look)


def thinned(values: np.ndarray) -> np.ndarray:
    """Means of neighbours, so that no more than MOST_POINTS are left."""
    size = -(-len(values) // MOST_POINTS)
    return np.array([values[i : i + size].mean() for i in range(0, len(values), size)]) if size > 1 else values


def smoothed(values: np.ndarray) -> np.ndarray:
    """The running mean over a twentieth of the values, of fewer towards the ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate(([0.0], values.cumsum()))
    places = np.arange(len(values))
    reach = np.minimum(half, np.minimum(places, len(values) - 1 - places))
    return (sums[places + reach + 1] - sums[places - reach]) / (2 * reach + 1)


def fit(axes, values: np.ndarray, above: float, log: bool) -> None:
    """The vertical scale: without the one value in two hundred that lies farthest out; logarithmic where it is wide.

    `above` is the share of the height to leave free there, for a legend.
    """
    low, high = np.quantile(values, (0.005, 0.995)) if len(values) > 100 else (values.min(), values.max())
    if log and values.min() > 0 and high > WIDE * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3 * (high / low) ** above)
        return
    room = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
    axes.set_ylim(low - room, high + room + above * (high - low))


def mark_best(axes, x: np.ndarray, y: np.ndarray, side: int) -> None:
    if side:
        i = int((y * side).argmax())
        look = {"color": pictures.ORANGE, "markeredgecolor": "white", "markeredgewidth": 0.6, "clip_on": False}
        axes.plot(x[i], y[i], "*", markersize=12, zorder=4, **look)
        axes.set_title(f"best {y[i]:.4g} at step {x[i]:,.0f}", loc="right", fontsize=8, color=pictures.ORANGE, pad=6)


# ---- around the panels ----------------------------------------------------------------------------------------------


def mark(axes, findings: Iterable[Mapping[str, Any]], last: float) -> None:
    """A shade from where the watch found something to where it was gone, with its number on top."""
    for number, entry in enumerate(findings, start=1):
        colour = colour_of(entry)
        end = last if entry["gone"] is None else max(entry["step"], entry["gone"])
        axes.axvspan(entry["step"], end, color=colour, alpha=0.07, linewidth=0)
        axes.axvline(entry["step"], color=colour, linewidth=0.9, linestyle=(0, (3, 2)))
        place = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(str(number), (entry["step"], 1), (2, -9), fontsize=7, color=colour, fontweight="bold", **place)


def colour_of(entry: Mapping[str, Any]) -> str:
    return NOTE if entry["name"] == "rollback" else ALERT


def head(summary: Mapping[str, Any], last: int) -> str:
    """The state of a run; the summary may lag behind the `last` step of the curves."""
    step = max(last, summary.get("step", 0))
    facts = [f"{summary.get('status', 'running')} at step {step:,}"]
    facts += [counted(summary["images"], "image")] if summary.get("step") == step and "images" in summary else []
    facts += [str(summary[name]) for name in ("device", "precision") if name in summary]
    return "  ·  ".join(facts)


def write_head(sheet, summary: Mapping[str, Any], last: int, height: int) -> None:
    name = shortened(str(summary.get("name", "run")), 60).encode("utf-8", "replace").decode()
    sheet.text(20 / WIDTH, 1 - 16 / height, name, fontsize=15, fontweight="bold", va="top")
    right, top = 1 - 20 / WIDTH, 1 - 20 / height
    sheet.text(right, top, head(summary, last), fontsize=10, color=pictures.GREY, ha="right", va="top")


def write_foot(sheet, findings: Sequence[Mapping[str, Any]], height: int) -> None:
    """What the numbers stand for, the last findings first where there are many."""
    left_out = len(findings) - LISTED
    lines = [(number, entry) for number, entry in enumerate(findings, start=1)][-LISTED:]
    y = FOOT / 2 + LINE * (len(lines) + (left_out > 0))
    for number, entry in lines:
        until = "" if entry["gone"] is None or entry["gone"] <= entry["step"] else f" to {entry['gone']:,}"
        said = " ".join(entry["said"].split()).partition(". ")[0]
        text = f"{number}  {entry['name']}, step {entry['step']:,}{until}: {said}"
        sheet.text(52 / WIDTH, y / height, shortened(text, 165), fontsize=8.5, color=colour_of(entry), va="center")
        y -= LINE
    if left_out > 0:
        text = f"and {counted(left_out, 'finding')} before, in summary.json"
        sheet.text(52 / WIDTH, y / height, text, fontsize=8.5, color=pictures.GREY, va="center")
