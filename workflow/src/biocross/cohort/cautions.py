"""What a user should know before the run: nothing here stops it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from biocross.cohort.design import Cohort, Contrast, Sample
from biocross.cohort.sheets import Problem, caution, counted

FEWEST_PAIRS = 3
# Below it an exact test of all populations cannot reach .05.
EXPLORATORY_BELOW = 6
_NO_COVARIATES = frozenset(("patient_id", "visit", "treatment"))


class PairGroup(NamedTuple):
    """The pairs of one modality, treatment and contrast.

    Parameters
    ----------
    modality, treatment, contrast
        What the pairs are of.
    pairs
        By unit, its samples at baseline and follow-up.
    missing
        By unit, the levels that it lacks.
    """

    modality: str
    treatment: str
    contrast: Contrast
    pairs: dict[str, tuple[Sample, Sample]]
    missing: dict[str, list[str]]

    @property
    def moved(self) -> dict[str, tuple[Sample, Sample]]:
        """The pairs whose two samples are of different batches, both of them recorded."""
        return {
            unit: (before, after)
            for unit, (before, after) in self.pairs.items()
            if before.batch and after.batch and before.batch != after.batch
        }

    @property
    def is_confounded(self) -> bool:
        """Whether every pair changes batch, and no batch holds both levels of anyone."""
        known = [pair for pair in self.pairs.values() if pair[0].batch and pair[1].batch]
        before, after = ({pair[when].batch for pair in known} for when in (0, 1))
        return bool(known) and len(self.moved) == len(known) and not before & after


def pair_groups(cohort: Cohort) -> list[PairGroup]:
    """Gather the pairs that the contrasts ask for.

    Parameters
    ----------
    cohort
        The study.

    Returns
    -------
    list of PairGroup
        By modality, contrast and treatment; treatments in order of the sheet.
    """
    groups: dict[tuple[str, Contrast, str], PairGroup] = {}
    for modality in sorted({s.modality for s in (*cohort.samples, *cohort.table_samples)}):
        units = cohort.units(modality)
        for contrast in cohort.contrasts:
            for unit, at_level in units.items():
                patient = next(iter(at_level.values())).patient_id
                treatment = cohort.contrast_treatment(patient, contrast)
                group = groups.setdefault(
                    (modality, contrast, treatment),
                    PairGroup(modality, treatment, contrast, {}, {}),
                )
                levels = (contrast.baseline, contrast.followup)
                missing = [level for level in levels if level not in at_level]
                if missing:
                    group.missing[unit] = missing
                else:
                    group.pairs[unit] = (at_level[levels[0]], at_level[levels[1]])
    return list(groups.values())


def design_cautions(file: str, patients_file: str, cohort: Cohort) -> list[Problem]:
    """Say what the numbers of patients, pairs and batches forbid or weaken.

    Parameters
    ----------
    file, patients_file
        The sheet of samples (or the table of counts), and that of patients.
    cohort
        The study.

    Returns
    -------
    list of Problem
        Warnings: groups too small, visits that are missing, batch against visit, covariates
        against treatment, tissues that differ between patients, stimulated samples without an
        unstimulated one or of another batch.
    """
    groups = pair_groups(cohort)
    return [
        *(caution(file, words) for group in groups if (words := _few_pairs(group))),
        *_missing_cautions(file, groups),
        *(caution(file, words, "batch") for group in groups if (words := batch_words(group))),
        *_alias_cautions(patients_file, cohort),
        *_tissue_cautions(file, cohort),
        *_stimulation_cautions(file, cohort),
    ]


def names(units: Iterable[str], most: int = 8) -> str:
    """List names, the first few of many."""
    units = list(units)
    more = f" and {len(units) - most} more" if len(units) > most else ""
    return ", ".join(units[:most]) + more


def _few_pairs(group: PairGroup) -> str:
    n, all_units = len(group.pairs), len(group.pairs) + len(group.missing)
    if n >= EXPLORATORY_BELOW:
        return ""
    where = f'{group.treatment}, {group.modality}, "{group.contrast}"'
    have = f"{where}: {counted(n, 'complete pair')}"
    if all_units == 1:
        return f"{have}, because the treatment has one patient; it cannot be tested"
    if n < FEWEST_PAIRS:
        return f"{have}; it cannot be tested with fewer than {FEWEST_PAIRS}"
    return f"{have}; below {EXPLORATORY_BELOW} its results are exploratory only"


def _missing_cautions(file: str, groups: Sequence[PairGroup]) -> list[Problem]:
    lacking: dict[tuple[str, Contrast], dict[str, list[str]]] = defaultdict(dict)
    totals: Counter[tuple[str, Contrast]] = Counter()
    for group in groups:
        key = (group.modality, group.contrast)
        totals[key] += len(group.pairs) + len(group.missing)
        for unit, levels in group.missing.items():
            lacking[key].setdefault(" and ".join(levels), []).append(unit)
    problems = []
    for (modality, contrast), by_level in lacking.items():
        n = sum(map(len, by_level.values()))
        who = "; ".join(f"no {level}: {names(units)}" for level, units in by_level.items())
        message = f'{modality}, "{contrast}": {n} of {totals[modality, contrast]} pairs incomplete'
        problems.append(caution(file, f"{message} ({who})"))
    return problems


def batch_words(group: PairGroup) -> str:
    """Say whether pairs change batch; empty where none does."""
    moved = group.moved
    if not moved:
        return ""
    where = f'{group.treatment}, {group.modality}, "{group.contrast}"'
    if group.is_confounded:
        before, after = (
            names(sorted({pair[when].batch for pair in moved.values()}), 4) for when in (0, 1)
        )
        return (
            f"{where}: every pair changes batch ({before} to {after}), so that a shift between "
            "batches cannot be told from a change; stain both samples of a patient in one batch"
        )
    return (
        f"{where}: {len(moved)} of {counted(len(group.pairs), 'pair')} change batch "
        f"({names(moved)}); see the changes adjusted for batch"
    )


def _alias_cautions(file: str, cohort: Cohort) -> list[Problem]:
    """Find covariates of patients that are one thing in every treatment."""
    measured = {sample.patient_id for sample in (*cohort.samples, *cohort.table_samples)}
    values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for patient, cells in cohort.patients.items():
        for name, value in cells.items():
            if patient in measured and name not in _NO_COVARIATES and isinstance(value, str):
                values[name][str(cells["treatment"])].append(value)
    problems = []
    for name, by_treatment in values.items():
        constant = {t: v[0] for t, v in by_treatment.items() if len(set(v)) == 1}
        several = sum(len(v) > 1 for v in by_treatment.values())
        if len(constant) < len(by_treatment) or several < 2 or len(set(constant.values())) < 2:
            continue
        who = ", ".join(f"{treatment} all {value}" for treatment, value in constant.items())
        message = (
            f'"{name}" is the same for all patients of a treatment ({who}); differences between '
            f'treatments cannot be told from differences by "{name}"'
        )
        problems.append(caution(file, message, name))
    return problems


def _tissue_cautions(file: str, cohort: Cohort) -> list[Problem]:
    problems = []
    for modality in ("flow", "rna"):
        count = Counter(s.tissue for s in cohort.of_modality(modality) if s.tissue)
        if len(count) > 1:
            listed = ", ".join(f"{counted(n, 'sample')} of {t}" for t, n in count.most_common())
            message = (
                f"{modality}: {listed}; frequencies of different tissues or preparations are not "
                "alike, compare such patients with care or make one configuration per tissue"
            )
            problems.append(caution(file, message, "tissue"))
    return problems


def _stimulation_cautions(file: str, cohort: Cohort) -> list[Problem]:
    """Find stimulated samples whose response is not known, or that a batch may have moved."""
    totals = Counter(sample.modality for sample in cohort.stimulated)
    alone: dict[str, list[str]] = defaultdict(list)
    moved: dict[str, list[str]] = defaultdict(list)
    for sample in cohort.stimulated:
        background = cohort.background(sample)
        if background is None:
            alone[sample.modality].append(sample.sample_id)
        elif sample.batch and background.batch and sample.batch != background.batch:
            moved[sample.modality].append(sample.sample_id)
    problems = []
    for modality, n in sorted(totals.items()):
        of_all = f"of {counted(n, 'stimulated sample')}"
        if who := alone.get(modality):
            message = (
                f"{modality}: {len(who)} {of_all} without an unstimulated one of the same patient "
                f"and visit ({names(who)}); their response is not known (no_background)"
            )
            problems.append(caution(file, message, "stimulation"))
        if who := moved.get(modality):
            message = (
                f"{modality}: {len(who)} {of_all} of another batch than the unstimulated one "
                f"({names(who)}); a shift between batches would look like a response"
            )
            problems.append(caution(file, message, "batch"))
    return problems


def ungated_caution(
    file: str, primary: Sequence[str], counted_names: Iterable[str]
) -> list[Problem]:
    """Name the primary populations that nothing counts.

    Parameters
    ----------
    file
        Where they should be counted: the gating strategy or the table of frequencies.
    primary
        Primary populations of the vocabulary.
    counted_names
        Populations that are counted.

    Returns
    -------
    list of Problem
        One warning, or none.
    """
    found = set(counted_names)
    lacking = [name for name in primary if name not in found]
    if not lacking:
        return []
    are = "population is" if len(lacking) == 1 else "populations are"
    message = (
        f"primary {are} not counted: {names(lacking)}; add a gate, or take `primary` from the "
        "vocabulary before you look at results"
    )
    return [caution(file, message)]
