"""What biocross must say of every hard variant, and where it is looked for.

A statement takes a run that was told (`validation.told_run`) and returns a `Verdict`. Numbers come
from the tables of the run and from its truth; sentences are quoted from them and from the report.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from validation.told_run import Told

from biocross.evaluation.findings import FALSE, FOUND, WRONG

ALPHA = 0.05


class Verdict(NamedTuple):
    """What a naive analysis says, what biocross found, its own words, and whether they will do."""

    naive: str
    found: str
    says: str
    passed: bool


Statement = Callable[[Told, Told | None], Verdict]


def nothing_planted(studies: Sequence[Told]) -> Verdict:
    """Nothing is claimed more often than promised, and the calibrations say so."""
    below = [_tested(told)["p_value"] < ALPHA for told in studies]
    hits, n = sum(int(own.sum()) for own in below), sum(own.size for own in below)
    false = sum(_false(told) > 0 for told in studies)
    verdicts = pd.concat(map(_calibration, studies)).value_counts()
    words = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    return Verdict(
        "nothing, of one population at a time",
        f"p < .05 in {hits} of {n} ({hits / n:.3f}), nothing being true; a false confirmatory "
        f"claim in {false} of {len(studies)} studies",
        f"`calibration.tsv`, families and classes from 20 events on: {words}",
        hits / n <= 0.08 and verdicts.get("inflated", 0) <= 0.1 * verdicts.sum(),
    )


def batch_offset(told: Told, naive: Told | None) -> Verdict:
    """Batch and visit are one: said first, and nothing is adjusted."""
    first = told.cautions[0] if told.cautions else ""
    varied = _varied(told, "batch")
    notes = told.changes()["note"].fillna("").str.contains("confounded_with_batch")
    return Verdict(
        f"one border for all: p < .05 in {_below(naive)}",
        f"p < .05 in {_below(told)}; {_claims(told)}",
        f"first caution: “{first}”; adjusted for batch: {varied['status'].iloc[0]}",
        "changes batch with the visit" in first
        and bool((varied["status"] == "refused").all() and notes.all()),
    )


def informative_dropout(told: Told, naive: Told | None) -> Verdict:
    """The missing are counted, shown, and their change is varied until the finding is lost."""
    ilc2 = told.changes("ILC2").iloc[0]
    varied = _varied(told, "dropout")
    tipping = varied[
        (varied["specification"] == "tipping delta") & (varied["population"] == "ILC2")
    ].iloc[0]
    incomplete = next((words for words in told.problems if "incomplete" in words), "")
    return Verdict(
        "the completers alone, without a word on the others",
        f"ILC2 × {ilc2['effect']:.2f} in {ilc2['n_pairs']} pairs; all patients' truth × "
        f"{_true_fold(told, 'ILC2'):.2f}",
        f"“{incomplete}”; “{tipping['note']}”",
        bool(ilc2["n_incomplete"] > 0 and tipping["status"] == "tested" and incomplete)
        and "whose change is not known" in tipping["note"]
        and str(tipping["note"]).split(";")[0] in told.page,
    )


def selection(told: Told, naive: Told | None) -> Verdict:
    """Eosinophils of selected patients fall without treatment, and the reason is named."""
    row = told.changes("eosinophils").iloc[0]
    caution = told.caution("regression to the mean")
    return Verdict(
        f"eosinophils fell under placebo, × {row['effect']:.2f}, p = {row['p_value']:.2g}",
        f"the same number; {_claims(told)}",
        f"caution: “{caution}”; on the row: “{row['note']}”",
        bool(caution) and "regression to the mean" in str(row["note"]) and row["effect"] < 1,
    )


def marker_shift(told: Told, naive: Told | None) -> Verdict:
    """The finding rests on a marker that moved: how far, and how little would abolish it."""
    row = told.changes("Th2").iloc[0]
    sensitivity = told.table("gate_sensitivity").set_index("population").loc["Th2"]
    caution = told.caution("would abolish it")
    return Verdict(
        f"Th2 fell: odds × {row['effect']:.2f}, p = {row['p_value']:.1g}",
        f"the same number; CRTH2+ cells moved by "
        f"{sensitivity['gating_marker_shift_positive']:+.2f} decade, tipping shift "
        f"{sensitivity['tipping_shift']:+.2f}, ratio {sensitivity['ratio']:.1f}",
        f"caution: “{caution}”",
        "Th2" in caution and bool(sensitivity["ratio"] >= 0.5),
    )


def omalizumab(told: Told, naive: Told | None) -> Verdict:
    """The default dump holds; one with FceRI alone is warned of, and its finding carries it."""
    assert naive is not None
    own, leaky = (run.changes("ILC2").iloc[0] for run in (told, naive))
    warning = next((words for words in naive.problems if "FceRI" in words), "")
    return Verdict(
        f"FceRI in place of CD123 in the dump: ILC2 × {leaky['effect']:.2f}, "
        f"p = {leaky['p_value']:.1g}",
        f"default gates: ILC2 × {own['effect']:.2f}, p = {own['p_value']:.2g} (truth × 1)",
        f"of the gates with FceRI, before any file is read: “{warning}”; on the row: "
        f"“{leaky['note']}”",
        "ILC2" in warning
        and "FceRI" in str(leaky["note"])
        and f"; {leaky['note']}" in naive.page
        and bool(own["p_value"] > ALPHA),
    )


def steroid_taper(told: Told, naive: Told | None) -> Verdict:
    """The change at an unchanged dose stands beside each finding, and the markers are named."""
    caution = told.caution("oral steroids")
    varied = _varied(told, "covariate")
    rows = told.table("longitudinal")
    rows = rows[
        (rows["population"] == "monocytes_nonclassical") & (rows["readout"] == "percent_of_parent")
    ].set_index("term")
    crude = told.changes("monocytes_nonclassical").iloc[0]
    at_dose = rows.loc["month_4"]
    return Verdict(
        f"nonclassical monocytes rose under mepolizumab: odds × {crude['effect']:.2f}, "
        f"p = {crude['p_value']:.1g}",
        f"at an unchanged dose × {at_dose['effect']:.2f} (p = {at_dose['p_value']:.2g}; truth × "
        f"1); {_claims(told)}",
        f"caution: “{caution}”",
        bool(varied["status"].isin(["tested", "too_few_events"]).all())
        and all(words in caution for words in ("CD127", "CD16", "CXCR4", "at an unchanged dose")),
    )


def tandem_decay(told: Told, naive: Told | None) -> Verdict:
    """The dye, the detector and the batch are named, and the finding is doubted."""
    row = told.changes("Th2").iloc[0]
    dye, gate = told.caution("tandem"), told.caution("rests on its gate")
    return Verdict(
        f"Th2 fell: odds × {row['effect']:.2f}, p = {row['p_value']:.1g}",
        "the same number, of which nothing is true",
        f"cautions: “{dye}”; “{gate}”",
        all(word in dye for word in ("CCR7", "CRTH2", "lot_2")) and "Th2" in gate,
    )


def spillover_spread(told: Told, naive: Told | None) -> Verdict:
    """Cells are lost in the noise: the border is doubted, and no primary change is invented."""
    findings = told.table("evaluation/findings")
    own = findings[findings["readout"] == "percent_of_parent"]
    false = int((own["verdict"] == FALSE).sum())
    bias = told.table("evaluation/frequencies").set_index(["population", "visit"])
    level, change = bias.loc[("Th2", "month_4"), ["bias", "change_bias"]]
    th2 = told.changes("Th2").iloc[0]
    covered = own["covered"].isin(["yes"]).sum(), own["covered"].isin(["yes", "no"]).sum()
    return Verdict(
        "a border drawn on a clean sample counts the noise as cells",
        f"Th2 (CRTH2): level off by {level:+.2f} in log odds, its change by {change:+.2f}; "
        f"{false} false claims; {covered[0]} of {covered[1]} intervals hold the truth; "
        f"{_claims(told)}",
        f"caution: “{told.caution('tail of the negatives')}”; Th2: {th2['status']}",
        _false(told) == 0
        and covered[0] / covered[1] > 0.85
        and "Th2" in told.caution("tail of the negatives"),
    )


def stuck_pairs(told: Told, naive: Told | None) -> Verdict:
    """T and B cells keep their frequencies, and pairs are not taken for exchanged columns."""
    errors = told.table("evaluation/frequencies").set_index(["population", "visit"])
    bias = {
        name: errors.loc[(name, "month_4"), ["bias", "change_bias"]].to_numpy(dtype=float)
        for name in ("T_cells", "B_cells", "CD4_T")
    }
    words = "; ".join(f"{name} {b:+.3f} and {c:+.3f}" for name, (b, c) in bias.items())
    caution = told.caution("CD19")
    return Verdict(
        "CD3+CD19+ events are a population of their own, or count twice",
        f"bias of the level and of the change in log odds: {words}",
        f"caution: “{caution}”" if caution else "nothing: every rule of marker sanity is kept",
        all(abs(change) < 0.02 for _, change in bias.values())
        and (not caution or "stick together" in caution),
    )


def rounded_counts(told: Told, naive: Told | None) -> Verdict:
    """Steps of the analyser are named; cells per µl come from finer counts."""
    warning = next((words for words in told.problems if "steps of" in words), "")
    row = told.changes("eosinophils", readout="cells_per_ul").iloc[0]
    zeros = _analyser_zeros(told)
    return Verdict(
        f"the analyser's eosinophils are 0 in {zeros}, and have no ratio",
        f"cells/µl of the gate: × {row['effect']:.2f} ({row['effect_low']:.2f} to "
        f"{row['effect_high']:.2f}); truth × {_true_fold(told, 'eosinophils'):.2f}",
        f"“{warning}”",
        "eosinophils_per_ul" in warning
        and bool(row["effect_low"] <= _true_fold(told, "eosinophils") <= row["effect_high"]),
    )


STATEMENTS: dict[str, Statement] = {
    "batch_offset": batch_offset,
    "informative_dropout": informative_dropout,
    "selection": selection,
    "marker_shift": marker_shift,
    "omalizumab": omalizumab,
    "steroid_taper": steroid_taper,
    "tandem_decay": tandem_decay,
    "spillover_spread": spillover_spread,
    "stuck_pairs": stuck_pairs,
    "rounded_counts": rounded_counts,
}


def _claims(told: Told) -> str:
    """Count the claims of the confirmatory family, and those that are false."""
    own = _confirmatory(told)
    false = _false(told)
    return f"{int(own['verdict'].eq(FOUND).sum()) + false} confirmatory claims, {false} false"


def _false(told: Told) -> int:
    return int(_confirmatory(told)["verdict"].isin([FALSE, WRONG]).sum())


def _confirmatory(told: Told) -> pd.DataFrame:
    findings = told.table("evaluation/findings")
    return findings[
        (findings["family"] == "confirmatory") & (findings["readout"] == "percent_of_parent")
    ]


def _tested(told: Told) -> pd.DataFrame:
    changes = told.changes()
    return changes[changes["status"] == "tested"]


def _below(told: Told | None) -> str:
    assert told is not None
    below = _tested(told)["p_value"] < ALPHA
    return f"{below.sum()} of {below.size}"


def _calibration(told: Told) -> pd.Series:
    """Return the verdicts on families and classes; what has fewer than 20 events claims nothing."""
    rows = told.table("calibration")
    own = (rows["readout"] == "percent_of_parent") & (rows["scope"] != "population")
    return rows.loc[own & (rows["what"] != "below 20 events"), "verdict"]


def _varied(told: Told, aspect: str) -> pd.DataFrame:
    table = told.table("specifications")
    return table[table["aspect"] == aspect]


def _true_fold(told: Told, population: str) -> float:
    truth = pd.read_csv(told.run.folder / "truth" / "flow" / "effects.tsv", sep="\t")
    return float(truth.set_index("population").loc[population, "fold_change"])


def _analyser_zeros(told: Told) -> str:
    counts = told.table("samples")["eosinophils_per_ul"].to_numpy(dtype=float)
    return f"{int(np.sum(counts == 0))} of {counts.size} samples"
