"""Simulated studies, as tables of counts whose true changes are known.

A patient's frequency of a population is, on the logit scale, the population's typical frequency
plus the patient's own offset, plus what differs from visit to visit within the patient, plus what
staining and gating add, plus the true change at the follow-up. Events are binomial draws from the
parent's events. Nothing here knows the tests.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from biocross.statistics.pairs import PairTable, Question

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

FREQUENCIES = (1e-5, 0.4)
PARENT_EVENTS = (20_000.0, 500_000.0)
MAX_DEPTH_RATIO = 10.0
BETWEEN_PATIENT_SD = (0.3, 0.9)
WITHIN_PATIENT_SD = (0.1, 0.4)
# The within-patient variance is 0.2² · 4/χ²(4): a few populations vary far more than the others.
WITHIN_TYPICAL, WITHIN_DF = 0.2, 4.0
STAINING_SD = 0.10
MISSING = 0.15
ODDS_RATIOS = (1 / 3, 1 / 2, 1 / 1.5, 1.5, 2.0, 3.0)
# A population may be the parent of others where it is at least this share of its own parent.
LEAST_PARENT = 0.1

# Leukocytes of a patient with severe asthma: share of all, and whether within the lymphocytes.
BLOOD = {
    "neutrophils": (0.55, False),
    "eosinophils": (0.10, False),
    "basophils": (0.006, False),
    "classical_monocytes": (0.055, False),
    "intermediate_monocytes": (0.004, False),
    "nonclassical_monocytes": (0.007, False),
    "dendritic_cells": (0.003, False),
    "CD4_naive": (0.06, True),
    "CD4_memory": (0.06, True),
    "Th2": (0.002, True),
    "Treg": (0.006, True),
    "CD8_naive": (0.03, True),
    "CD8_memory": (0.035, True),
    "Tc2": (0.0004, True),
    "NK": (0.03, True),
    "B_naive": (0.018, True),
    "B_memory": (0.007, True),
    "ILC2": (0.00008, True),
}


class Study(NamedTuple):
    """One study with its truth.

    Parameters
    ----------
    count, total
        Events of each population and of its parent, shape (visits, patients, populations); the
        first visit is the baseline.
    attended
        Who came, shape (visits, patients).
    names, parents
        Of the populations.
    log_effect
        True change at every follow-up (log odds ratio of the parent), shape (populations,).
    visit_sd
        SD of one visit within a patient, staining included, shape (populations,).
    """

    count: IntArray
    total: IntArray
    attended: BoolArray
    names: tuple[str, ...]
    parents: tuple[str, ...]
    log_effect: FloatArray
    visit_sd: FloatArray


def simulate_table(
    rng: np.random.Generator,
    n_patients: int,
    n_populations: int,
    *,
    tails: str = "normal",
    missing: float = MISSING,
    within_sd: float | None = None,
    within_df: float = WITHIN_DF,
    within_limits: tuple[float, float] = WITHIN_PATIENT_SD,
    staining_sd: float = STAINING_SD,
    shared: float = 0.0,
    planted_share: float = 0.0,
    odds_ratios: tuple[float, ...] = ODDS_RATIOS,
    frequencies: tuple[float, float] = FREQUENCIES,
    depth_ratio: float | None = None,
    n_followups: int = 1,
) -> Study:
    """Draw a study as a table of counts.

    Parameters
    ----------
    rng
        Source of all randomness.
    n_patients
        Patients with a baseline.
    n_populations
        Populations, arranged as a tree under a few lineages.
    tails
        Of the within-patient variation: ``normal``, or ``t3`` scaled to the same SD.
    missing
        Share of follow-ups that do not take place.
    within_sd
        Within-patient SD of a visit (logit) of all populations; None draws one per population.
    within_df, within_limits
        How the drawn SDs scatter: degrees of freedom of their inverse gamma, and their limits.
    staining_sd
        SD that staining and gating add to a visit (logit).
    shared
        Share of the within-patient variance that all populations of a sample have in common, up
        to its sign.
    planted_share
        Share of the populations that truly change.
    odds_ratios
        From which their changes are drawn.
    frequencies
        Lower and upper typical frequency of the parent, log-uniform.
    depth_ratio
        How many times deeper follow-ups are counted than baselines; None draws up to 10 times
        deeper or shallower, the same direction for all patients of a study.
    n_followups
        Visits after the baseline, each with the same true change.

    Returns
    -------
    Study
        With its truth.
    """
    visits, k = 1 + n_followups, n_populations
    frequency = np.exp(rng.uniform(*np.log(frequencies), k))
    log_effect = np.zeros(k)
    planted = rng.random(k) < planted_share
    log_effect[planted] = np.log(rng.choice(odds_ratios, planted.sum()))
    within = np.full(k, within_sd) if within_sd else _within_sds(rng, k, within_df, within_limits)
    shape = (visits, n_patients, k)
    eta = logit(frequency) + rng.normal(size=shape[1:]) * rng.uniform(*BETWEEN_PATIENT_SD, k)
    signs = rng.choice([-1.0, 1.0], k)
    own, common = _unit_noise(rng, shape, tails), _unit_noise(rng, (visits, n_patients, 1), tails)
    eta = eta + within * (np.sqrt(1 - shared) * own + np.sqrt(shared) * signs * common)
    eta = eta + staining_sd * rng.normal(size=shape)
    eta[1:] += log_effect
    parent, n_lineages = _tree(rng, frequency)
    lineage_total = _lineage_totals(rng, (visits, n_patients, n_lineages), depth_ratio)
    count, total = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
    for column in range(k):  # a population comes after its parent
        above = parent[column]
        total[..., column] = count[..., above] if above >= 0 else lineage_total[..., -above - 1]
        count[..., column] = rng.binomial(total[..., column], expit(eta[..., column]))
    attended = rng.random((visits, n_patients)) >= missing
    attended[0] = True
    return Study(
        count,
        total,
        attended,
        tuple(f"population_{column + 1:02d}" for column in range(k)),
        tuple(f"population_{a + 1:02d}" if a >= 0 else f"lineage_{-a}" for a in parent),
        log_effect,
        np.hypot(within, staining_sd),
    )


def simulate_depletion(
    rng: np.random.Generator, n_patients: int, eosinophils: float, fold: float = 0.15
) -> Study:
    """Draw a study of blood in which the eosinophils fall and no other cell changes in number.

    Parameters
    ----------
    rng
        Source of all randomness.
    n_patients
        All with both visits.
    eosinophils
        Their share of the leukocytes at baseline.
    fold
        Fold change of eosinophils per µl.

    Returns
    -------
    Study
        The leaves of `BLOOD` and the lymphocytes that hold some of them; `log_effect` is the
        true log fold change in cells per µl.
    """
    share = np.array([value for value, _ in BLOOD.values()])
    inside = np.array([within for _, within in BLOOD.values()])
    names = [*BLOOD, "lymphocytes"]
    position = names.index("eosinophils")
    share[position] = 0.0
    share *= (1 - eosinophils) / share.sum()
    share[position] = eosinophils
    log_effect = np.zeros(len(names))
    log_effect[position] = np.log(fold)
    shape = (2, n_patients, share.size)
    visit_sd = np.hypot(_within_sds(rng, share.size), STAINING_SD)
    log_cells = np.log(share) + rng.normal(size=shape[1:]) * rng.uniform(
        *BETWEEN_PATIENT_SD, share.size
    )
    log_cells = log_cells + visit_sd * rng.normal(size=shape)
    log_cells[1] += log_effect[:-1]
    cells = np.exp(log_cells)
    leukocytes = _lineage_totals(rng, (2, n_patients, 1), None)
    leaves = rng.multinomial(leukocytes[..., 0], cells / cells.sum(axis=-1, keepdims=True))
    lymphocytes = leaves[..., inside].sum(axis=-1, keepdims=True)
    return Study(
        np.concatenate([leaves, lymphocytes], axis=-1),
        np.where(np.append(inside, False), lymphocytes, leukocytes),
        np.ones(shape[:2], dtype=np.bool_),
        tuple(names),
        tuple("lymphocytes" if within else "leukocytes" for within in [*inside, False]),
        log_effect,
        np.append(visit_sd, np.nan),
    )


def pair_table(study: Study, visit: int = 1, treatment: str = "treatment") -> PairTable:
    """Arrange the baseline and one follow-up of a study as the workflow would.

    Parameters
    ----------
    study
        Of `simulate_table` or `simulate_depletion`.
    visit
        Which follow-up, from 1.
    treatment
        Its name.

    Returns
    -------
    PairTable
        Of the patients who attended both visits.
    """
    came = np.flatnonzero(study.attended[visit])
    values = []
    for at in (0, visit):
        count = study.count[at, came].astype(np.float64)
        total = study.total[at, came].astype(np.float64)
        percent = 100 * np.divide(count, total, out=np.full_like(count, np.nan), where=total > 0)
        values.append(
            {
                "count": count,
                "parent_count": total,
                "percent": percent,
                "cells_per_ul": np.full_like(count, np.nan),
            }
        )
    return PairTable(
        Question("flow", "gate", treatment, f"month_{4 * visit}", "baseline"),
        tuple(f"P{patient + 1:03d}" for patient in came),
        study.attended.shape[1] - came.size,
        pd.DataFrame({"population": study.names, "parent": study.parents}),
        *values,
        tuple(("", "") for _ in came),
    )


def _within_sds(
    rng: np.random.Generator,
    n_populations: int,
    df: float = WITHIN_DF,
    limits: tuple[float, float] = WITHIN_PATIENT_SD,
) -> FloatArray:
    variance = WITHIN_TYPICAL**2 * df / rng.chisquare(df, n_populations)
    return np.clip(np.sqrt(variance), *limits)


def _unit_noise(rng: np.random.Generator, shape: tuple[int, ...], tails: str) -> FloatArray:
    """Noise of SD 1."""
    if tails == "t3":
        return rng.standard_t(3, shape) / np.sqrt(3)
    return rng.normal(size=shape)


def _tree(rng: np.random.Generator, frequency: FloatArray) -> tuple[IntArray, int]:
    """Parent of each population: an earlier population, or -1, -2 ... for a lineage."""
    n_lineages = max(2, frequency.size // 5)
    parent = -1 - rng.integers(n_lineages, size=frequency.size)
    for column in range(1, frequency.size):
        candidates = np.flatnonzero(frequency[:column] >= LEAST_PARENT)
        if candidates.size and rng.random() < 0.25:
            parent[column] = rng.choice(candidates)
    return parent, n_lineages


def _lineage_totals(
    rng: np.random.Generator, shape: tuple[int, int, int], depth_ratio: float | None
) -> IntArray:
    """Events of the lineages, log-uniform; one side of the study is counted deeper throughout."""
    low, high = np.log(PARENT_EVENTS)
    direction = 1 if depth_ratio is not None else rng.choice([-1, 1])
    log_ratio = np.log(depth_ratio or np.exp(rng.uniform(0, np.log(MAX_DEPTH_RATIO))))
    shallow = rng.uniform(low, high - log_ratio, (1, *shape[1:]))
    deeper = np.zeros((shape[0], 1, 1))
    deeper[1:] = log_ratio
    if direction < 0:
        deeper = log_ratio - deeper
    return np.round(np.exp(shallow + deeper)).astype(np.int64)
