"""What the quality steps set aside in every sample, read from the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from biocross.errors import TableError
from biocross.tables import read_rows

SAMPLE_LOSS_COLUMNS = (
    *("sample_id", "patient_id", "visit", "treatment", "events", "kept", "lost_percent"),
    *("outlying", "status", "note"),
)
# What the steps of the ledger set aside, in plain words.
STEP_WORDS = {
    "nonfinite": "events without a value",
    "margin": "events without scatter",
    "doublet": "doublets",
    "dead": "dead cells",
    "time": "unsteady signal",
    "flow_rate": "flow-rate jump",
    "event_length": "unusual event length",
    "gaussian": "unusual pulse shape",
    "dna": "debris and doublets by DNA",
    "bead": "calibration beads",
    "counting_bead": "counting beads",
    "bead_clump": "clumps of counting beads",
    "total": "all steps together",
}
READ, TOTAL = "read", "total"
# How the note of a sample begins whose file gave no data.
EXCLUDED = "excluded: "
# Counting beads: single ones, and those that stick together or to a cell. They are no loss.
BEADS, BEAD_CLUMPS = "counting_bead", "bead_clump"
OUTLYING_SD, OUTLYING_POINTS, SAMPLES_TO_JUDGE = 3.5, 10.0, 5
MAD_TO_SD = 1.4826


class StepLoss(NamedTuple):
    """What a step set aside of the events that reached it; `note` says why it was not possible."""

    before: int
    flagged: int
    note: str

    @property
    def possible(self) -> bool:
        """Whether the step was done."""
        return not self.note.startswith("not_possible")


class SampleLoss(NamedTuple):
    """The ledger of one sample: events read, every later step in order, and the reading's note.

    Counting beads are no events of the sample.
    """

    events: int
    steps: dict[str, StepLoss]
    note: str

    @property
    def lost(self) -> int:
        """Events set aside by any step."""
        return sum(step.flagged for step in self.steps.values())

    def percent(self, step: str = TOTAL) -> float:
        """Return what a step, or all, set aside in percent of the events read; NaN of none."""
        found = self.steps.get(step)
        flagged = self.lost if step == TOTAL else found.flagged if found else 0
        return 100 * flagged / self.events if self.events else float("nan")


def read_losses(ledger: Path | str) -> dict[str, SampleLoss]:
    """Read the ledger of a cohort.

    Parameters
    ----------
    ledger
        Table of every sample's steps.

    Returns
    -------
    dict
        By sample; a `TableError` where a column is missing or a count is no whole number.
    """
    losses: dict[str, SampleLoss] = {}
    for number, row in enumerate(read_rows(ledger), 2):
        try:
            before, flagged = (int(row[key] or 0) for key in ("events_before", "flagged"))
            sample, step, note = row["sample_id"], row["step"], row["note"]
        except (KeyError, ValueError) as error:
            raise TableError(
                f"{ledger} row {number}: expected sample_id, step, note and whole numbers of "
                f"events_before and flagged ({error}); prepare the samples again"
            ) from None
        if sample not in losses:
            losses[sample] = SampleLoss(before, {}, note)
        if step in (BEADS, BEAD_CLUMPS):
            losses[sample] = losses[sample]._replace(events=losses[sample].events - flagged)
        elif step != READ:
            losses[sample].steps[step] = StepLoss(before, flagged, note)
    return losses


def sample_rows(
    losses: Mapping[str, SampleLoss], sheet: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Say what every sample lost, and which lost unusually much.

    A sample is outlying where its total loss lies more than 3.5 robust SD and more than 10
    percentage points above the cohort's median. Fewer than five samples are not judged.

    Parameters
    ----------
    losses, sheet
        Of `read_losses`, and rows of ``samples.tsv``.

    Returns
    -------
    list of dict
        Rows of ``sample_losses.tsv``, in the sheet's order, of the samples that have a ledger;
        ``note`` is a sentence for those that are outlying.
    """
    counted = [loss for loss in losses.values() if loss.events]
    typical = {
        step: float(np.median([loss.percent(step) for loss in counted]))
        for step in (TOTAL, *dict.fromkeys(step for loss in counted for step in loss.steps))
        if counted
    }
    away = [abs(loss.percent() - typical[TOTAL]) for loss in counted]
    border = float("inf")
    if len(counted) >= SAMPLES_TO_JUDGE:
        spread = MAD_TO_SD * float(np.median(away))
        border = typical[TOTAL] + max(OUTLYING_SD * spread, OUTLYING_POINTS)
    rows = []
    for sample in sheet:
        if (loss := losses.get(sample["sample_id"])) is None:
            continue
        row: dict[str, Any] = {key: sample[key] for key in SAMPLE_LOSS_COLUMNS[:4]}
        row |= {"events": loss.events, "kept": loss.events - loss.lost, "status": "no_events"}
        row["note"] = loss.note or "no events"
        if loss.events:
            row |= {"lost_percent": loss.percent(), "status": "too_few_samples"}
            row["note"] = f"fewer than {SAMPLES_TO_JUDGE} samples to compare with"
            if np.isfinite(border):
                row |= {"outlying": loss.percent() > border, "status": "judged", "note": ""}
        if row.get("outlying"):
            most = max(loss.steps, key=lambda step: loss.percent(step) - typical[step])
            row["note"] = (
                f"{row['sample_id']} lost {loss.percent():.0f} % of its events (median of the "
                f"samples {typical[TOTAL]:.0f} %); most unusual: {step_words(most)}, "
                f"{loss.percent(most):.1f} % of the events read against {typical[most]:.1f} %"
            )
        rows.append(row)
    return rows


def step_words(step: str) -> str:
    """Write a step of the ledger in plain words."""
    return STEP_WORDS.get(step, step.replace("_", " "))


def excluded_samples(ledgers: Iterable[Path | str]) -> dict[str, str]:
    """Read from the ledgers why files gave no data.

    Parameters
    ----------
    ledgers
        Files of quality ledgers.

    Returns
    -------
    dict of str to str
        The reason by sample.
    """
    return {
        row["sample_id"]: row["note"].removeprefix(EXCLUDED)
        for ledger in ledgers
        for row in read_rows(ledger)
        if row["note"].startswith(EXCLUDED)
    }
