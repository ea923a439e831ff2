"""Which genes changed within patients: sums over the cells of a population, tested pair by pair."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cells.pseudobulk import MIN_CELLS, MIN_COUNTS, Pseudobulk, is_enough
from biocross.cohort.sheets import counted
from biocross.intact import read_h5ad
from biocross.statistics.families import correct_families, exploratory
from biocross.statistics.kernels.moderation import MIN_PAIRS
from biocross.statistics.pairs import read_pair_sheet
from biocross.tables import write_rows

GENE_CHANGE_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "gene", "n_pairs"),
    *("n_incomplete", "cells_median", "mean_count", "log2_fold", "log2_fold_low"),
    *("log2_fold_high", "statistic", "p_value", "q_value", "family", "status", "note"),
)
# A gene is asked about where it has so many counts in the median sample of a comparison.
MIN_MEDIAN_COUNT = 5
NORMAL_95 = 1.959963984540054


class Comparison(NamedTuple):
    """The paired sums of one population under one treatment.

    Parameters
    ----------
    counts
        Shape (samples, genes).
    units, followup
        Patient of each sample, and whether it is the later visit, shape (samples,).
    n_cells
        Shape (samples,).
    n_incomplete
        Patients with one visit only, or too few cells at one of them.
    """

    counts: NDArray[np.int64]
    units: NDArray[Any]
    followup: NDArray[np.bool_]
    n_cells: NDArray[np.int64]
    n_incomplete: int


def find_gene_changes(
    pseudobulk: Path | str,
    samples: Path | str,
    pairs: Path | str,
    n_threads: int,
    changes_out: Path | str,
) -> None:
    """Test every gene of every population for change within patients.

    Parameters
    ----------
    pseudobulk
        ``results/cells/pseudobulk.h5ad``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    n_threads
        Comparisons that are tested side by side; the numbers do not depend on it.
    changes_out
        One row per treatment, contrast, population and gene that has enough counts; one row
        without a gene where a population could not be tested.
    """
    summed = read_h5ad(pseudobulk)
    sheet = pd.read_csv(samples, sep="\t", dtype=str, keep_default_na=False)
    obs = summed.obs.merge(sheet[["sample_id", "unit", "level"]], on="sample_id", how="left")
    genes = summed.var_names.to_numpy(dtype=str)
    whole = bool(summed.uns.get("is_integer", True))
    asked_of: list[tuple[dict[str, Any], Comparison]] = []
    for asked, units in _questions(read_pair_sheet(pairs)):
        for population in dict.fromkeys(obs["population"]):
            keys = {"modality": "rna", "source": "cluster", "population": str(population)}
            keys |= {"treatment": asked.treatment, "contrast": asked.contrast}
            own = np.flatnonzero((obs["population"] == population) & obs["unit"].isin(units))
            compared = compare_visits(
                np.asarray(summed.X[own]), obs.iloc[own], asked.baseline, asked.followup
            )
            print(f"{asked.treatment}, {asked.contrast}, {population}: {_words(compared)}")
            asked_of.append((keys, compared))
    found = _in_parallel([compared for _, compared in asked_of], genes, n_threads, whole)
    rows = [keys | row for (keys, _), of_one in zip(asked_of, found, strict=True) for row in of_one]
    for row in rows:
        row["family"] = exploratory(row, "modality", "treatment", "contrast", "population")
    correct_families(rows)
    write_rows(changes_out, GENE_CHANGE_COLUMNS, rows)


def _in_parallel(
    comparisons: Sequence[Comparison], genes: NDArray[Any], n_threads: int, whole: bool
) -> list[list[dict[str, Any]]]:
    """Test comparisons side by side: PyDESeq2 itself gains nothing from a second thread."""
    from joblib import Parallel, delayed, parallel_config

    jobs = (delayed(gene_rows)(compared, genes, whole) for compared in comparisons)
    # Small matrices: threads within a fit would only wait for one another.
    with parallel_config("loky", n_jobs=n_threads, inner_max_num_threads=1):
        found: list[list[dict[str, Any]]] = Parallel()(jobs)
    return found


class _Asked(NamedTuple):
    treatment: str
    baseline: str
    followup: str

    @property
    def contrast(self) -> str:
        return f"{self.followup} - {self.baseline}"


def _questions(pair_sheet: pd.DataFrame) -> Iterator[tuple[_Asked, set[str]]]:
    keys = ["treatment", "baseline", "followup"]
    own = pair_sheet[pair_sheet["modality"] == "rna"]
    for key, rows in own.groupby(keys, sort=True):
        yield _Asked(*map(str, key)), set(rows["unit"])


def compare_visits(
    counts: NDArray[Any], obs: pd.DataFrame, baseline: str, followup: str
) -> Comparison:
    """Take the patients whose sums are large enough at both visits.

    Parameters
    ----------
    counts
        Summed counts, shape (samples, genes).
    obs
        With ``unit, level`` and ``n_cells`` of every sample.
    baseline, followup
        The levels that are compared.

    Returns
    -------
    Comparison
        The two samples of each patient side by side.
    """
    n_cells = obs["n_cells"].to_numpy(dtype=np.int64)
    large = is_enough(Pseudobulk(counts, n_cells))
    at = {
        level: {
            unit: i
            for i, (unit, of) in enumerate(zip(obs["unit"], obs["level"], strict=True))
            if of == level
        }
        for level in (baseline, followup)
    }
    seen = sorted(set(at[baseline]) | set(at[followup]))
    both = [unit for unit in seen if all(unit in of and large[of[unit]] for of in at.values())]
    order = [at[level][unit] for unit in both for level in (baseline, followup)]
    return Comparison(
        counts[order].astype(np.int64),
        np.repeat(both, 2),
        np.tile([False, True], len(both)),
        n_cells[order],
        len(seen) - len(both),
    )


def gene_rows(compared: Comparison, genes: NDArray[Any], whole: bool) -> list[dict[str, Any]]:
    """Test the genes of one comparison.

    Parameters
    ----------
    compared
        Of `compare_visits`.
    genes
        Names, shape (genes,).
    whole
        Whether the counts were whole numbers before they were summed; others are refused.

    Returns
    -------
    list of dict
        Rows with `GENE_CHANGE_COLUMNS`. Below three pairs fold changes are shown without p
        values: with two, one number is left to estimate a variance from.
    """
    n_pairs = len(compared.units) // 2
    shared: dict[str, Any] = {"n_pairs": n_pairs, "n_incomplete": compared.n_incomplete}
    if compared.n_cells.size:
        shared["cells_median"] = float(np.median(compared.n_cells))
    if not whole:
        why = "the counts are no whole numbers, as if normalised; gene changes need raw counts"
        return [shared | {"status": "not_possible", "note": why}]
    if n_pairs < 2:
        return [shared | {"status": "underpowered", "note": _why_few(n_pairs)}]
    kept = np.median(compared.counts, axis=0) >= MIN_MEDIAN_COUNT
    if kept.sum() < 2:
        why = f"no genes with {MIN_MEDIAN_COUNT} counts in the median sample"
        return [shared | {"status": "underpowered", "note": why}]
    found = fit(compared, genes, kept)
    return [shared | row for row in _fitted_rows(found, n_pairs)]


def _fitted_rows(found: pd.DataFrame, n_pairs: int) -> Iterator[dict[str, Any]]:
    enough = n_pairs >= MIN_PAIRS
    for gene, row in found.iterrows():
        margin = NORMAL_95 * float(row["lfcSE"])
        fold = float(row["log2FoldChange"])
        yield {
            "gene": str(gene),
            "mean_count": float(row["baseMean"]),
            "log2_fold": fold,
            "log2_fold_low": fold - margin if enough else None,
            "log2_fold_high": fold + margin if enough else None,
            "statistic": float(row["stat"]) if enough else None,
            "p_value": float(row["pvalue"]) if enough else None,
            **_status(n_pairs, float(row["pvalue"])),
        }


def _status(n_pairs: int, p_value: float) -> dict[str, str]:
    if n_pairs < MIN_PAIRS:
        shown = "fold changes are shown, nothing is claimed"
        return {"status": "too_few_pairs", "note": f"{n_pairs} pairs: {shown}"}
    if np.isnan(p_value):
        return {"status": "outlier", "note": "one sample's count is an outlier (Cook's distance)"}
    return {"status": "tested", "note": ""}


def _why_few(n_pairs: int) -> str:
    enough = f"{MIN_CELLS} cells and {MIN_COUNTS:,} counts at both visits"
    return f"{counted(n_pairs, 'patient')} with {enough}, and 2 are the least"


def _words(compared: Comparison) -> str:
    return f"{counted(len(compared.units) // 2, 'pair')}, {compared.n_incomplete} incomplete"


def fit(compared: Comparison, genes: NDArray[Any], kept: NDArray[np.bool_]) -> pd.DataFrame:
    """Fit ``~ patient + visit`` to the sums of every gene by negative binomial regression.

    Parameters
    ----------
    compared
        At least two pairs.
    genes
        Names, shape (genes,).
    kept
        Which of them are fitted, shape (genes,).

    Returns
    -------
    DataFrame
        Per fitted gene ``baseMean, log2FoldChange, lfcSE, stat, pvalue``; the fold change is
        follow-up over baseline, not shrunken.

    References
    ----------
    Love 2014, Genome Biol 15:550; Muzellec 2023, Bioinformatics 39:btad547 (PyDESeq2).
    """
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    names = [f"s{position}" for position in range(len(compared.units))]
    counts = pd.DataFrame(compared.counts[:, kept], index=names, columns=genes[kept])
    design = pd.DataFrame(
        {
            # Names of patients need not be names of formulas.
            "patient": [f"p{code}" for code in np.unique(compared.units, return_inverse=True)[1]],
            "visit": np.where(compared.followup, "followup", "baseline"),
        },
        index=names,
    )
    inference = DefaultInference(n_cpus=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = DeseqDataSet(
            counts=counts,
            metadata=design,
            design="~patient + visit",
            inference=inference,
            quiet=True,
            refit_cooks=True,
        )
        fitted.deseq2()
        tested = DeseqStats(
            fitted,
            contrast=["visit", "followup", "baseline"],
            inference=inference,
            quiet=True,
            independent_filter=False,
        )
        tested.summary()
    found: pd.DataFrame = tested.results_df
    return found
