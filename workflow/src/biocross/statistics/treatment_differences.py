"""Did populations change differently under two treatments? Compares the arms of a study."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.statistics.families import correct_families, exploratory
from biocross.statistics.kernels.moderation import PairedTest, moderated_paired_t, welch_difference
from biocross.statistics.paired_changes import batch_caveat, judge, population_pairs
from biocross.statistics.pairs import PairTable
from biocross.statistics.readouts import Readout, readouts
from biocross.tables import write_rows

Key = tuple[str, str]

DIFFERENCE_COLUMNS = (
    *("modality", "source", "contrast", "treatment_a", "treatment_b", "population", "parent"),
    *("readout", "n_pairs_a", "n_pairs_b", "effect_a", "effect_b", "effect", "effect_low"),
    *("effect_high", "effect_scale", "statistic", "df", "p_value", "q_value", "family"),
    *("status", "note"),
)
FAMILY = ("modality", "source", "treatment_a", "treatment_b", "contrast", "readout")


class Arm(NamedTuple):
    """One readout of the patients under one treatment, tested as `find_paired_changes` does.

    Parameters
    ----------
    pairs, readout
        The table of pairs and its reading.
    test
        Moderated paired t of every population, by this arm's variances alone.
    verdicts
        Status and note of every population, as in ``paired_changes.tsv``.
    """

    pairs: PairTable
    readout: Readout
    test: PairedTest
    verdicts: list[tuple[str, str]]

    @property
    def treatment(self) -> str:
        """The arm's treatment."""
        return self.pairs.question.treatment

    def keys(self) -> list[Key]:
        """Return population and parent of every column."""
        names = self.pairs.keys
        return list(zip(names["population"], names["parent"], strict=True))


def find_treatment_differences(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    differences_out: Path | str,
) -> None:
    """Compare the changes under every two treatments, for every population of a long table.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``, which says what lies within what.
    differences_out
        One row per modality, source, contrast, pair of treatments, population and readout; a
        header alone where the study has one treatment.
    """
    vocabulary = load_vocabulary(Path(populations))
    tables = list(population_pairs(counts, samples, pairs))
    rows = [
        row
        for arms in _arms_by_question(tables)
        for a, b in combinations([arms_by_readout(arm, vocabulary) for arm in arms], 2)
        for of_a, of_b in zip(a, b, strict=True)
        for row in difference_rows(of_a, of_b)
    ]
    correct_families(rows)
    write_rows(differences_out, DIFFERENCE_COLUMNS, rows)


def _arms_by_question(tables: Sequence[PairTable]) -> Iterator[list[PairTable]]:
    """Yield the tables of all treatments per modality, source and contrast, in alphabetical order.

    A treatment under which nobody was asked a contrast takes part as a table without pairs.
    """
    treatments = sorted({table.question.treatment for table in tables})
    found: dict[tuple[str, str, str], dict[str, PairTable]] = {}
    for table in tables:
        asked = table.question
        found.setdefault((asked.modality, asked.source, asked.contrast), {})[asked.treatment] = (
            table
        )
    for arms in found.values():
        example = next(iter(arms.values()))
        yield [arms.get(name) or _without_pairs(example, name) for name in treatments]


def _without_pairs(example: PairTable, treatment: str) -> PairTable:
    return example._replace(
        question=example.question._replace(treatment=treatment),
        units=(),
        n_incomplete=0,
        baseline={name: values[:0] for name, values in example.baseline.items()},
        followup={name: values[:0] for name, values in example.followup.items()},
        batches=(),
    )


def arms_by_readout(pairs: PairTable, vocabulary: Vocabulary) -> list[Arm]:
    """Test one arm in every readout.

    Parameters
    ----------
    pairs
        Of `population_pairs`.
    vocabulary
        Says which population lies within which.

    Returns
    -------
    list of Arm
        In the order of `biocross.statistics.readouts.READOUTS`.
    """
    arms = []
    for readout in readouts(pairs, vocabulary):
        test = moderated_paired_t(readout.change, readout.abundance)
        verdicts = []
        for column in range(len(pairs.keys)):
            at = (~np.isnan(readout.change[:, column]), column)
            before, after = readout.events_baseline[at], readout.events_followup[at]
            testable = bool(np.isfinite(test.p[column]))
            verdicts.append(judge(pairs, readout, before, after, testable))
        arms.append(Arm(pairs, readout, test, verdicts))
    return arms


def difference_rows(a: Arm, b: Arm) -> list[dict[str, Any]]:
    """Compare one readout of two arms.

    Parameters
    ----------
    a, b
        The arms, of one modality, source, contrast and readout, over the same populations in any
        order.

    Returns
    -------
    list of dict
        Rows of ``treatment_differences.tsv`` without their q values, in the order of `a`. The
        effect is a ratio of ratios: the change in arm a over the change in arm b.
    """
    position = {key: column for column, key in enumerate(b.keys())}
    keys = a.keys()
    order = np.array([position[key] for key in keys], dtype=np.int64)
    b = b._replace(
        test=_reordered(b.test, order), verdicts=[b.verdicts[column] for column in order]
    )
    welch = welch_difference(a.test, b.test)
    numbers = {
        "effect_a": np.exp(a.test.estimate),
        "effect_b": np.exp(b.test.estimate),
        "effect": np.exp(welch.estimate),
        "effect_low": np.exp(welch.low),
        "effect_high": np.exp(welch.high),
        "statistic": welch.t,
        "df": welch.df,
        "p_value": welch.p,
    }
    asked = a.pairs.question
    rows = []
    for column, (population, parent) in enumerate(keys):
        status, note = _verdict(a, b, column)
        row = {
            "modality": asked.modality,
            "source": asked.source,
            "contrast": asked.contrast,
            "treatment_a": a.treatment,
            "treatment_b": b.treatment,
            "population": population,
            "parent": parent,
            "readout": a.readout.name,
            "n_pairs_a": int(a.test.n_pairs[column]),
            "n_pairs_b": int(b.test.n_pairs[column]),
            **{name: float(values[column]) for name, values in numbers.items()},
            "effect_scale": a.readout.effect_scale,
            "status": status,
            "note": note,
        }
        rows.append(row | {"family": exploratory(row, *FAMILY)})
    return rows


def _reordered(test: PairedTest, order: NDArray[np.int64]) -> PairedTest:
    return PairedTest(**{name: getattr(test, name)[order] for name in test._fields})


def _verdict(a: Arm, b: Arm, column: int) -> tuple[str, str]:
    """Judge a comparison by the arm that stands more in its way, and name both arms' trouble."""
    troubles, notes = [], []
    for arm in (a, b):
        status, note = arm.verdicts[column]
        if status != "tested":
            troubles.append(status)
        caveats = (
            [arm.readout.caveat, batch_caveat(arm.pairs.batches)]
            if arm.test.n_pairs[column]
            else []
        )
        notes += [f"{arm.treatment}: {words}" for words in (note, *caveats) if words]
    # Too few events still leaves numbers to show; whatever else stands in the way does not.
    troubles.sort(key=lambda status: status == "too_few_events")
    return (troubles[0] if troubles else "tested"), "; ".join(notes)
