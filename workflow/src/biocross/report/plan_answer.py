"""The answer of `biocross plan`: tables, figure, and sentences for the terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import ConfigError
from biocross.report.figures.plan import TARGET, answered, draw_plan, patients_words
from biocross.report.words import format_number, plain
from biocross.statistics.pilot import pilot_variation
from biocross.statistics.planning import (
    Basis,
    Prospect,
    Wishes,
    check_wishes,
    plan,
    write_plan,
)
from biocross.statistics.planning_defaults import SHIPPED, assumed_variation

_USUAL = Path("config/populations.yaml")


def answer_plan(
    wishes: Wishes,
    out: Path,
    results: Path | None = None,
    populations: Path | None = None,
    source: str | None = None,
    readout: str | None = None,
) -> list[str]:
    """Plan a study, and write tables and figure.

    Parameters
    ----------
    wishes
        What is asked.
    out
        Folder of ``plan.tsv``, ``plan_patients.tsv`` and the figure ``plan``.
    results
        Of a pilot; None for the shipped assumptions.
    populations
        ``populations.yaml``, which names the primary populations; None for that of the working
        folder's configuration, else the shipped one.
    source, readout
        As for `pilot_variation`.

    Returns
    -------
    list of str
        The answer in lines.

    Raises
    ------
    ConfigError
        Something asked cannot be planned, or a file is missing.
    """
    check_wishes(wishes)
    if results is None and (source or readout):
        raise ConfigError("--source and --readout belong to a pilot; give --results too")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: is a file; name a folder")
    file = populations or (_USUAL if _USUAL.is_file() else SHIPPED / "populations.yaml")
    primary = {name for name, one in load_vocabulary(file).items() if one.primary}
    if results is None:
        basis = assumed_variation(primary)
    else:
        basis = pilot_variation(results, primary, source, readout)
    prospects = plan(basis, wishes)
    write_plan(prospects, basis, wishes, out / "plan.tsv", out / "plan_patients.tsv")
    figures = [out / f"plan.{kind}" for kind in ("pdf", "svg", "png")]
    draw_plan(prospects, basis, wishes, *figures)
    return [
        *sentences(prospects, basis, wishes),
        "",
        f"Written to {out}: plan.tsv, plan_patients.tsv, plan.pdf, .svg, .png",
    ]


def sentences(prospects: Sequence[Prospect], basis: Basis, wishes: Wishes) -> Iterator[str]:
    """Answer in sentences: how many patients, for the populations of the figure.

    Parameters
    ----------
    prospects
        Of `plan`.
    basis, wishes
        As there.

    Yields
    ------
    str
        A line of the answer.
    """
    family = wishes.family or basis.family
    events = f"{format_number(wishes.events or basis.events)} events per sample"
    if np.isnan(basis.events):
        events = "As many events per sample as then, for they were not counted"
    yield f"Variation from {basis.words}"
    yield (f"{events}, {100 * wishes.missing:.0f} % of the patients without a second visit")
    yield ""
    for panel in answered(prospects):
        name, parent = plain(panel[0].variation.population), plain(panel[0].variation.parent)
        yield f"{name} (of {parent})"
        for one in panel:
            yield f"  × {one.fold:g}: {_answer(one)}"
    yield ""
    ranged = "; in parentheses what the pilot leaves open" if _ranged(prospects) else ""
    yield (
        f"Patients per treatment for {100 * TARGET:.0f} % power at p < 0.05 in one test and, in "
        f"brackets, at p < 0.05 / {family}, as one of {family} primary tests{ranged}."
    )
    yield (
        "One test promises too much where several are made. The brackets are on the safe side: the "
        "correction that the report uses lies between."
    )


def _ranged(prospects: Sequence[Prospect]) -> bool:
    return any(np.isfinite(one.change_sd).all() for one in prospects)


def _answer(one: Prospect) -> str:
    if one.status != "planned":
        return f"{plain(one.status)}; {one.note}"
    ranged = bool(np.isfinite(one.change_sd).all())
    single, family = (_with_range(each, ranged) for each in one.needed(TARGET).T)
    return f"{single} patients [{family}]"


def _with_range(patients: NDArray[np.float64], ranged: bool) -> str:
    value, low, high = (patients_words(number) for number in patients)
    return f"{value} ({low} to {high})" if ranged else value
