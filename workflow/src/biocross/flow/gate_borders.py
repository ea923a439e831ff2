"""Where the borders of a gating tree come from: given, settled for the cohort, or estimated."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.strategy import ThresholdRule
from biocross.flow.events import Events
from biocross.flow.gate_tree import Indices
from biocross.flow.joint_thresholds import JointBorder, joint_border
from biocross.flow.transforms import Transform

NAN = float("nan")


class FixedBorders:
    """The same border in every sample.

    Parameters
    ----------
    values
        By name of the threshold; those that are not named take the value of their rule.
    """

    def __init__(self, values: Mapping[str, float] | None = None) -> None:
        self.values = dict(values or {})

    def border(
        self,
        rule: ThresholdRule,
        population: str,  # noqa: ARG002
        members: Sequence[Indices],  # noqa: ARG002
        samples: Sequence[Events],
    ) -> list[float]:
        """Return the border once per sample; see `Borders`."""
        value = self.values.get(rule.name, NAN if rule.value is None else rule.value)
        return [value] * len(samples)


class SettledBorders:
    """Borders from the table of thresholds.

    Parameters
    ----------
    rows
        Mappings with ``sample_id``, ``threshold``, ``population`` and ``value``, which is empty
        where the border is not known.
    """

    def __init__(self, rows: Iterable[Mapping[str, object]]) -> None:
        self._values = {
            (str(row["sample_id"]), str(row["threshold"]), str(row["population"])): _number(
                row["value"]
            )
            for row in rows
        }

    def border(
        self,
        rule: ThresholdRule,
        population: str,
        members: Sequence[Indices],  # noqa: ARG002
        samples: Sequence[Events],
    ) -> list[float]:
        """Look up the border of each sample; see `Borders`. A fixed one needs no row."""
        default = rule.value if rule.method == "fixed" and rule.value is not None else NAN
        keys = [(sample.meta["sample_id"], rule.name, population) for sample in samples]
        return [self._values.get(key, default) for key in keys]


class Estimate(NamedTuple):
    """A border that samples share, or were estimated together.

    Parameters
    ----------
    rule
        The threshold.
    population
        On whose events it was estimated.
    samples
        Positions of the samples.
    joint
        What was found, one value per sample.
    """

    rule: ThresholdRule
    population: str
    samples: tuple[int, ...]
    joint: JointBorder


class EstimatedBorders:
    """Borders estimated on the samples of a patient.

    Samples with the same stimulation are estimated together, because stimulation moves surface
    markers. A marker of kind ``state`` (a cytokine, an activation marker) is estimated on the
    unstimulated samples of all visits, and the stimulated take that border: what lies above it is
    the answer to the stimulation. FMO controls are gated along, with the borders of their batch.

    Parameters
    ----------
    decades_per_unit
        By marker; NaN, or absent, where the scale has no decades.
    kinds
        By marker, its kind in the panel.
    controls
        By position of an FMO control among the samples, the marker that it leaves out.
    by_stimulation
        False where stimulated and unstimulated samples are a pair: they are estimated together.
    transforms
        By marker; with them a border follows a drift of the signal, not only of the display.
    estimator
        In place of `joint_border`.

    Attributes
    ----------
    estimates
        By name of the threshold and population, what was found.
    """

    def __init__(
        self,
        decades_per_unit: Mapping[str, float],
        kinds: Mapping[str, str],
        controls: Mapping[int, str] | None = None,
        by_stimulation: bool = True,
        transforms: Mapping[str, Transform] | None = None,
        estimator: Callable[..., JointBorder] = joint_border,
    ) -> None:
        self.decades_per_unit = decades_per_unit
        self.kinds = kinds
        self.controls = dict(controls or {})
        self.by_stimulation = by_stimulation
        self.transforms = transforms or {}
        self.estimates: dict[tuple[str, str], list[Estimate]] = {}
        self._estimator = estimator

    def border(
        self,
        rule: ThresholdRule,
        population: str,
        members: Sequence[Indices],
        samples: Sequence[Events],
    ) -> list[float]:
        """Estimate the border of each sample; see `Borders`."""
        found = self.estimates[rule.name, population] = []
        borders = [NAN] * len(samples)
        for group, followers in self._groups(rule, samples):
            joint = self._estimate(rule, group, members, samples)
            if followers:
                joint = _followed(joint, group, followers, samples)
            positions = (*group, *followers)
            found.append(Estimate(rule, population, positions, joint))
            for position, value in zip(positions, joint.values, strict=True):
                borders[position] = float(value)
        for position in self.controls:
            borders[position] = self._border_of_batch(position, borders, samples)
        return borders

    def _groups(
        self, rule: ThresholdRule, samples: Sequence[Events]
    ) -> list[tuple[list[int], list[int]]]:
        """Return which samples are estimated together, and which take the border of these."""
        measured = [i for i in range(len(samples)) if i not in self.controls]
        stimulation = {i: samples[i].meta.get("stimulation", "") for i in measured}
        if not self.by_stimulation or rule.method == "fixed":
            stimulation = dict.fromkeys(measured, "")
        if self.kinds.get(rule.marker) == "state":
            groups = [
                (
                    [i for i in measured if not stimulation[i]],
                    [i for i in measured if stimulation[i]],
                )
            ]
        else:
            kinds = dict.fromkeys(stimulation.values())
            groups = [([i for i in measured if stimulation[i] == kind], []) for kind in kinds]
        if rule.scope == "sample":
            groups = [
                ([i], [j for j in followers if _same_visit(samples[i], samples[j])])
                for group, followers in groups
                for i in group
            ]
        return [(group, followers) for group, followers in groups if group]

    def _estimate(
        self,
        rule: ThresholdRule,
        group: Sequence[int],
        members: Sequence[Indices],
        samples: Sequence[Events],
    ) -> JointBorder:
        batches = [samples[i].meta.get("batch", "") for i in group]
        controls = {
            batch: self._control_values(rule, batch, members, samples) for batch in set(batches)
        }
        return self._estimator(
            [_values(samples[i], rule.marker, members[i]) for i in group],
            batches,
            rule,
            self.decades_per_unit.get(rule.marker, NAN),
            [controls[batch] for batch in batches],
            self.transforms.get(rule.marker),
        )

    def _control_values(
        self,
        rule: ThresholdRule,
        batch: str,
        members: Sequence[Indices],
        samples: Sequence[Events],
    ) -> NDArray[np.float32] | None:
        """Pool a batch's controls that leave the marker out; None where it has none."""
        pooled = [
            _values(samples[i], rule.marker, members[i])
            for i, left_out in self.controls.items()
            if left_out == rule.marker and samples[i].meta.get("batch", "") == batch
        ]
        return np.concatenate(pooled) if pooled else None

    def _border_of_batch(
        self, position: int, borders: Sequence[float], samples: Sequence[Events]
    ) -> float:
        """Return the mean border of a control's batch, or of all samples."""
        measured = [i for i in range(len(samples)) if i not in self.controls]
        batch = samples[position].meta.get("batch", "")
        near = [i for i in measured if samples[i].meta.get("batch", "") == batch]
        for group in (near, measured):
            known = [borders[i] for i in group if not np.isnan(borders[i])]
            if known:
                return float(np.mean(known))
        return NAN


def _followed(
    joint: JointBorder, group: Sequence[int], followers: Sequence[int], samples: Sequence[Events]
) -> JointBorder:
    """Give stimulated samples the border of their visit's unstimulated one, or of all of them."""
    values = {i: float(value) for i, value in zip(group, joint.values, strict=True)}
    known = [value for value in values.values() if not np.isnan(value)]
    typical = float(np.mean(known)) if known else NAN
    taken = []
    for i in followers:
        same = [values[j] for j in group if _same_visit(samples[i], samples[j])]
        taken.append(same[0] if same and not np.isnan(same[0]) else typical)
    note = "stimulated samples take the border of the unstimulated"
    return joint._replace(
        values=tuple(joint.values) + tuple(taken),
        negative_modes=tuple(joint.negative_modes) + (NAN,) * len(taken),
        note="; ".join(filter(None, [joint.note, note])),
    )


def _same_visit(sample: Events, other: Events) -> bool:
    return sample.meta.get("visit", "") == other.meta.get("visit", "")


def _values(sample: Events, marker: str, members: Indices) -> NDArray[np.float32]:
    """Return the values of a marker, none where the file lacks it."""
    column = sample.values.get(marker)
    return np.empty(0, dtype=np.float32) if column is None else column[members]


def _number(value: object) -> float:
    return NAN if value in (None, "") else float(str(value))
