"""The genes that changed most within patients, by population and treatment."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biocross.cohort.vocabulary import load_vocabulary
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import format_p, plain
from biocross.tables import read_rows

Row = Mapping[str, str]

GENE_FIGURE_COLUMNS = (
    *("treatment", "contrast", "population", "gene", "n_pairs", "log2_fold", "log2_fold_low"),
    *("log2_fold_high", "p_value", "q_value"),
)
# Genes in a panel, and of one population: a large response must not hide the others.
MOST_IN_PANEL = 30
MOST_OF_POPULATION = 6
# Inches.
LINE = 0.155
PANEL_WIDTH, LABELS = 2.0, 2.0
# log2: beyond this an interval is cut off.
WIDEST = 5.0


def plot_gene_changes(
    changes: Path | str, populations: Path | str, fdr: float, *figures_out: Path | str
) -> None:
    """Draw the genes with the smallest p values of every treatment and contrast.

    Parameters
    ----------
    changes
        ``results/statistics/gene_changes.tsv``.
    populations
        ``populations.yaml``, which gives the order.
    fdr
        False discovery rate below which a change is claimed.
    figures_out
        One file per format.
    """
    order = {name: place for place, name in enumerate(load_vocabulary(Path(populations)))}
    panels = dict(top_genes(read_rows(changes), order, fdr))
    longest = max((len(rows) for rows in panels.values()), default=0)
    height = LINE * max(longest, 3) + 1.1
    width = max((LABELS + PANEL_WIDTH) * max(len(panels), 1) + 0.3, 5.6)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        figure.text(0.1 / width, 1 - 0.08 / height, _title(fdr), fontsize=7, va="top")
        for number, ((treatment, contrast), rows) in enumerate(panels.items()):
            left = LABELS + number * (LABELS + PANEL_WIDTH)
            tall = LINE * max(len(rows), 3)
            axis = figure.add_axes(
                (
                    *(left / width, (height - 0.6 - tall) / height),
                    *((PANEL_WIDTH - 0.35) / width, tall / height),
                )
            )
            _draw_panel(axis, rows, fdr)
            axis.set_title(f"{treatment}: {plain(contrast)}", loc="left", parse_math=False)
        if not panels:
            figure.text(0.5, 0.4, "no gene was tested; gene_changes.tsv says why", ha="center")
        shown = [row for rows in panels.values() for row in rows]
        save_figure(figure, *figures_out, source=shown, columns=GENE_FIGURE_COLUMNS)


def _title(fdr: float) -> str:
    return (
        "Genes that changed within patients, in sums over the cells of a population; bars: 95 % "
        f"intervals, p at the right\nFilled: q below {fdr:g}; open: not shown to change. At most "
        f"{MOST_OF_POPULATION} genes of a population"
    )


def top_genes(
    changes: Sequence[Row], order: Mapping[str, int], fdr: float
) -> Iterator[tuple[tuple[str, str], list[Row]]]:
    """Choose the genes that are shown.

    Parameters
    ----------
    changes
        Rows of ``gene_changes.tsv``.
    order
        Position of every population.
    fdr
        False discovery rate.

    Yields
    ------
    key : tuple of str
        Treatment and contrast, in alphabetical order; those without a tested gene are left out.
    rows : list
        By population; genes below the false discovery rate go first where room is short.
    """
    of: dict[tuple[str, str], list[Row]] = {}
    for row in changes:
        if row["status"] == "tested":
            of.setdefault((row["treatment"], row["contrast"]), []).append(row)
    for key, rows in sorted(of.items()):
        ranked = sorted(
            rows,
            key=lambda r: (float(r["q_value"]) >= fdr, float(r["p_value"]), r["population"]),
        )
        taken: dict[str, int] = {}
        chosen: list[Row] = []
        for row in ranked:
            if taken.get(row["population"], 0) < MOST_OF_POPULATION:
                taken[row["population"]] = taken.get(row["population"], 0) + 1
                chosen.append(row)
        chosen = chosen[:MOST_IN_PANEL]
        chosen.sort(key=lambda r: (order.get(r["population"], len(order)), float(r["log2_fold"])))
        yield key, chosen


def _draw_panel(axis: Axes, rows: Sequence[Row], fdr: float) -> None:
    axis.axvline(0, color=GREY, linewidth=0.7, zorder=0)
    reach = 1.0
    where = axis.get_yaxis_transform()
    for line, row in enumerate(rows):
        fold, low, high = (float(row[f"log2_fold{end}"]) for end in ("", "_low", "_high"))
        low, high = max(low, -WIDEST), min(high, WIDEST)
        fold = min(max(fold, -WIDEST), WIDEST)
        reach = max(reach, -low, high)
        colour = VERMILLION if fold > 0 else BLUE
        claimed = float(row["q_value"]) < fdr
        axis.plot([low, high], [line, line], color=colour, linewidth=1, alpha=0.6)
        face = colour if claimed else "white"
        axis.plot(fold, line, "o", color=colour, markerfacecolor=face, markersize=3.8)
        said = format_p(float(row["p_value"]))
        axis.text(1.02, line, said, transform=where, va="center", fontsize=5.5, color="#555555")
        if line and row["population"] != rows[line - 1]["population"]:
            axis.axhline(line - 0.5, color="#DDDDDD", linewidth=0.5, zorder=0)
    first = [not i or r["population"] != rows[i - 1]["population"] for i, r in enumerate(rows)]
    for line, (row, is_first) in enumerate(zip(rows, first, strict=True)):
        if is_first:
            axis.text(
                *(-0.42, line, plain(row["population"])),
                transform=where,
                ha="right",
                va="center",
                fontsize=6.5,
                parse_math=False,
            )
    names = [row["gene"] for row in rows]
    axis.set_yticks(range(len(rows)), names, fontsize=6, style="italic", parse_math=False)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(xlim=(-reach * 1.05, reach * 1.05), ylim=(max(len(rows), 3) - 0.4, -0.6))
    axis.set_xlabel("log2 of the change")
