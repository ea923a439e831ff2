"""The paired changes of a study, analysed in another way after the report was read.

The engine is that of ``paired_changes.tsv``. Only what is asked of it differs, and every row of
another analysis says that it was chosen after seeing the data.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from biocross.cohort.design import Contrast
from biocross.cohort.vocabulary import Vocabulary
from biocross.statistics.families import exploratory
from biocross.statistics.kernels.battery import TESTS
from biocross.statistics.paired_changes import all_change_rows, arrange_pairs

LABEL = "exploratory: chosen after seeing the data"


class Study(NamedTuple):
    """What a run left of its study.

    Parameters
    ----------
    counts
        Of `read_long_table`.
    samples
        ``results/cohort/samples.tsv``, with unit, level, patient and treatment.
    pairs
        Of `read_pair_sheet`.
    vocabulary
        Of ``populations.yaml``.
    confirmatory
        Modality, source and readout of the confirmatory family.
    seed
        Of the sign flips.
    drug_notes
        Rows of ``drug_notes.tsv``.
    selected_on
        Populations, or blood counts, that patients were enrolled for.
    """

    counts: pd.DataFrame
    samples: pd.DataFrame
    pairs: pd.DataFrame
    vocabulary: Vocabulary
    confirmatory: Sequence[str]
    seed: int
    drug_notes: Sequence[Mapping[str, str]] = ()
    selected_on: Collection[str] = ()


class OtherAnalysis(NamedTuple):
    """What is done otherwise than in the report; the defaults repeat it.

    Parameters
    ----------
    contrast
        Two levels; None for the contrasts of the run.
    test
        Name of the primary test, one of `TESTS`.
    exclude
        Patients left out.
    together
        Whether the patients of all treatments are tested as one group.
    """

    contrast: Contrast | None = None
    test: str = "moderated"
    exclude: tuple[str, ...] = ()
    together: bool = False

    def words(self, pairs: pd.DataFrame) -> str:
        """Say what differs from the report; empty where nothing does."""
        known = self.contrast is None or str(self.contrast) in set(pairs["contrast"])
        said = [
            "" if known else f"contrast {self.contrast}",
            "" if self.test == "moderated" else f"test {self.test}",
            f"without {', '.join(self.exclude)}" if self.exclude else "",
            "treatments together" if self.together else "",
        ]
        return ", ".join(filter(None, said))


def reanalysed_rows(study: Study, other: OtherAnalysis) -> list[dict[str, Any]]:
    """Test every population of a study again.

    Parameters
    ----------
    study
        What the run left.
    other
        What is done otherwise.

    Returns
    -------
    list of dict
        Rows with `CHANGE_COLUMNS`. Where nothing differs from the report, its rows; else every
        row belongs to an exploratory family and says in its note what was chosen.
    """
    pairs = asked_pairs(study, other)
    joined = pairs["treatment"].iloc[0] if other.together and len(pairs) else ""
    words = other.words(study.pairs)
    rows = all_change_rows(
        arrange_pairs(study.counts, pairs),
        study.vocabulary,
        () if words else study.confirmatory,
        study.seed,
        _notes_of_all(study.drug_notes, joined) if joined else study.drug_notes,
        study.selected_on,
        TESTS[other.test],
    )
    if not words:
        return rows
    for row in rows:
        names = ("modality", "source", "treatment", "contrast", "readout")
        row["family"] = f"{exploratory(row, *names)} ({words})"
        row["note"] = "; ".join(filter(None, [f"{LABEL} ({words})", row["note"]]))
        if other.test == "wilcoxon":
            row["equivalent"] = None
    return rows


def asked_pairs(study: Study, other: OtherAnalysis) -> pd.DataFrame:
    """Say which units are compared, at which levels, under which treatment.

    Parameters
    ----------
    study, other
        As for `reanalysed_rows`.

    Returns
    -------
    DataFrame
        As of `read_pair_sheet`.
    """
    pairs = study.pairs
    if other.contrast is not None:
        pairs = pairs[pairs["contrast"] == str(other.contrast)]
        if pairs.empty:
            pairs = _pairs_of_samples(study.samples, other.contrast)
    pairs = pairs[~pairs["patient_id"].isin(other.exclude)].reset_index(drop=True)
    if other.together:
        pairs = pairs.assign(treatment=" + ".join(sorted(set(pairs["treatment"]))))
    return pairs


def _pairs_of_samples(samples: pd.DataFrame, contrast: Contrast) -> pd.DataFrame:
    """Ask a contrast that the run did not: its treatment is the one given at the later level."""
    at = samples[samples["level"].isin(contrast)]
    first = at.assign(is_earlier=at["level"] == contrast.baseline)
    first = first.sort_values(["is_earlier", "unit"], kind="stable").drop_duplicates("unit")
    return pd.DataFrame(
        {
            "treatment": first["treatment"],
            "contrast": str(contrast),
            "followup": contrast.followup,
            "baseline": contrast.baseline,
            "unit": first["unit"],
            "patient_id": first["patient_id"],
        }
    )


def _notes_of_all(notes: Sequence[Mapping[str, str]], joined: str) -> list[dict[str, str]]:
    """Join what several drugs do to the markers of a population, for patients tested as one."""
    said: dict[str, list[str]] = {}
    for note in notes:
        if note["note"]:
            said.setdefault(note["population"], []).append(note["note"])
    return [
        {"treatment": joined, "population": population, "note": "; ".join(dict.fromkeys(words))}
        for population, words in said.items()
    ]
