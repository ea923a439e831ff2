"""Measure the statistics on simulated studies: the full run.

``python tests/validation/validate.py`` prints the tables; with ``--write`` they replace the
measured part of docs/validation.md. Fails where a demand of the design is not met.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

if __name__ == "__main__":  # One thread for each process, before numpy: the matrices are small.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from document import DOCUMENT, write_between
from validation.chain import PEERS
from validation.grid import (
    DEPTH_EVENTS,
    DEPTH_RATIOS,
    EOSINOPHILS,
    FOLDS,
    N_PATIENTS,
    NOISE,
    PART,
    TAILS,
    Measured,
    Requirement,
    full_grid,
    label,
    pick,
    requirements,
)
from validation.scenarios import ABUNDANCE, SEED, Rate, run_cells

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and write if asked; 1 where a demand is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000, help="studies of a cell")
    parser.add_argument("--jobs", type=int, default=2, help="processes; no number depends on them")
    parser.add_argument("--write", action="store_true", help=f"update {DOCUMENT.name}")
    options = parser.parse_args(arguments)
    start, grid = time.perf_counter(), full_grid()
    numbers = [max(2, options.studies // PART.get(cell.scenario, 1)) for cell in grid]
    measured = dict(zip(grid, run_cells(grid, numbers, options.jobs), strict=True))
    demands = requirements(measured)
    text = "\n".join(report(measured, demands, sum(numbers)))
    print(text)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    if options.write:
        write_between((BEGIN, END), text, DOCUMENT)
    return int(any("fail" in demand.verdict for demand in demands))


def report(measured: Measured, demands: Sequence[Requirement], n_studies: int) -> Iterator[str]:
    """Yield the measured part of the document, line by line."""
    yield f"\n{n_studies:,} studies in {len(measured)} cells; seed {SEED}.\n"
    sections = {
        "What the design demands": demand_table(demands),
        "Type I error where nothing changed": null_table(measured),
        "Power": power_table(measured),
        "Beside other tests": peer_table(measured),
        "When eosinophils fall by 85 %": depletion_table(measured),
        "Unequal depth": depth_table(measured),
        "Cells as replicates": pooled_table(measured),
        "Abolished, correlated and very unequally variable populations": other_table(measured),
    }
    for title, rows in sections.items():
        yield f"### {title}\n"
        yield from markdown(rows)
        yield ""


def demand_table(demands: Sequence[Requirement]) -> Iterator[Sequence[str]]:
    """Yield one row per demand, with its lowest and its highest cell."""
    yield "demand", "limits", "lowest cell", "highest cell", "cells", "verdict"
    for demand in demands:
        low, high = (f"{limit:g}".removeprefix("0") for limit in (demand.low, demand.high))
        ends = [f"{rate} at {name}" for name, rate in demand.extremes]
        if len(ends) < 2:
            ends = [*(str(rate) for _, rate in demand.extremes), "", ""][:2]
        limits = f"{low} to {high}"
        if demand.low == 0 or demand.high == 1:
            limits = f"≤ {high}" if demand.low == 0 else f"≥ {low}"
        yield demand.text, limits, *ends, str(len(demand.rates)), demand.verdict


def null_table(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield type I error by patients, populations, tails and abundance class."""
    names = [f"type I, {name} events" for name in ABUNDANCE]
    names += ["type I, most variable fifth", "any claim, exploratory", "coverage"]
    yield "studies", *ABUNDANCE, "most variable fifth", "any claim", "coverage"
    for cell, rates in pick(measured, "null"):
        yield label(cell), *(half_width(rates, name) for name in names)


def power_table(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield power by noise, patients and fold."""
    yield "SD within + staining (both)", "n", *(f"× {fold:g}" for fold in FOLDS)
    for within, staining in NOISE:
        for n in N_PATIENTS:
            cells = pick(measured, "power", n_patients=n, within_sd=within, staining_sd=staining)
            yield (
                f"{within:.2f} + {staining:.2f} ({np.hypot(within, staining):.2f})",
                str(n),
                *(half_width(rates, "power, exploratory") for _, rates in cells),
            )


def peer_table(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield every method's errors and power on the same studies."""
    yield "studies", "test", "type I", "most variable fifth", "any claim", "FDR", "power"
    for n in N_PATIENTS:
        for tails in TAILS:
            wanted = {"n_patients": n, "n_populations": 20, "tails": tails}
            (_, null), *_ = pick(measured, "null", **wanted)
            (_, planted), *_ = pick(measured, "planted", **wanted)
            for name, words in PEERS.items():
                yield (
                    f"n {n}, {tails}",
                    words,
                    half_width(null, f"type I, {name}"),
                    half_width(null, f"type I of the most variable fifth, {name}"),
                    half_width(null, f"any claim, {name}"),
                    half_width(planted, f"FDR, {name}"),
                    half_width(planted, f"power, {name}"),
                )


def depletion_table(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield the share of unchanged leaves called changed."""
    methods = ("composition", "plain CLR", "percent of leukocytes", "reference_uncertain")
    yield "eosinophils before", "n", *methods
    for share in EOSINOPHILS:
        for cell, rates in pick(measured, "depletion", eosinophils=share):
            n = cell.options()["n_patients"]
            yield f"{100 * share:.0f} %", str(n), *(half_width(rates, name) for name in methods)


def depth_table(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield type I error with and without equal depth."""
    yield "events", "follow-up deeper by", "n", "each visit at its own depth", "equal depth"
    cells = iter(pick(measured, "depth"))
    for events in DEPTH_EVENTS:
        for ratio in DEPTH_RATIOS:
            for _ in range(3):
                cell, rates = next(cells)
                both = (half_width(rates, name) for name in ("own depth", "equal depth"))
                yield str(events), f"{ratio:g}", str(cell.options()["n_patients"]), *both


def pooled_table(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield type I error of the pooled cells by abundance class."""
    yield "studies", *ABUNDANCE
    for cell, rates in pick(measured, "null", n_populations=20):
        yield (
            label(cell),
            *(half_width(rates, f"pooled cells, {name} events") for name in ABUNDANCE),
        )


def other_table(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield what else was asked."""
    questions = {
        "abolished": {
            "tested": "populations that fall by 99 %: are tested",
            "found": "populations that fall by 99 %: are found (q < .05)",
        },
        "correlated": {
            "any claim, exploratory": "half of the variation shared: any claim, null",
            "FDR, exploratory": "half of the variation shared: FDR",
            "power, exploratory": "half of the variation shared: power",
        },
        "extreme variances": {
            "type I": "extreme variances: type I",
            "type I, most variable fifth": "extreme variances: type I, most variable fifth",
            "type I of the most variable fifth, uncapped": "the same, moderation without the cap",
            "any claim, exploratory": "extreme variances: any claim",
            "any claim, uncapped": "the same, moderation without the cap",
            "coverage": "extreme variances: coverage",
        },
    }
    yield "studies", "question", "measured"
    for scenario, names in questions.items():
        for cell, rates in pick(measured, scenario):
            for name, words in names.items():
                if name in rates:
                    yield label(cell), words, half_width(rates, name)


def half_width(rates: Mapping[str, Rate], name: str) -> str:
    """Write a proportion and half the width of its interval; a dash where nothing was asked."""
    if name not in rates:
        return "-"
    rate = rates[name]
    return f"{rate.value:.3f} ± {(rate.high - rate.low) / 2:.3f}".replace("0.", ".")


def markdown(rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose first row is its head."""
    for number, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if number == 0:
            yield f"|{' --- |' * len(row)}"


if __name__ == "__main__":
    sys.exit(main())
