"""How well flow cytometry and RNA agree, beside how well they could: the true counts of both."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from biocross.statistics.pairs import read_table

CONCORDANCE_COLUMNS = ("visit", "population", "n", "rho", "true_rho", "ratio", "true_ratio")
# Fewer patients show no correlation.
FEWEST = 4


def judge_concordance(concordance: Path, counts: pd.DataFrame, truth: Path) -> pd.DataFrame:
    """Set the agreement of the modalities' frequencies beside that of the true counts.

    RNA counts few cells of a sample and loses some kinds on the way, so that even true counts do
    not agree wholly.

    Parameters
    ----------
    concordance
        ``concordance.tsv`` of the run.
    counts
        The long table, which says whose a sample is.
    truth
        Folder of the truth of a cohort with both modalities.

    Returns
    -------
    DataFrame
        Columns `CONCORDANCE_COLUMNS`: Spearman's rho over patients and the median ratio of the
        odds (RNA to flow), as found and as the counted cells have it.
    """
    found = read_table(concordance)
    found = found[(found["aspect"] == "frequency") & found["n"].notna()]
    patients = counts.drop_duplicates("sample_id").set_index("sample_id")[["patient_id", "visit"]]
    logits = {name: _logits(truth / name / "counts.tsv", patients) for name in ("flow", "rna")}
    both = logits["flow"].join(logits["rna"], how="inner", lsuffix="_flow", rsuffix="_rna")
    asked = ["visit", "population", "n", "rho", "ratio"]
    rows = [
        {**row, **_true(both, row["visit"], row["population"])}
        for row in found[asked].to_dict("records")
    ]
    return pd.DataFrame(rows, columns=[*CONCORDANCE_COLUMNS])


def _logits(path: Path, patients: pd.DataFrame) -> pd.DataFrame:
    table = read_table(path).join(patients, on="sample_id", how="inner")
    rest = table["parent_count"] - table["count"]
    table["logit"] = ((table["count"] + 0.5) / (rest + 0.5)).transform(np.log)
    return table.set_index(["visit", "population", "patient_id"])[["logit"]].sort_index()


def _true(both: pd.DataFrame, visit: str, population: str) -> dict[str, float]:
    at = both.index.get_level_values("visit") == visit
    own = both[at & (both.index.get_level_values("population") == population)]
    if own.empty:
        return {}
    flow, rna = own["logit_flow"].to_numpy(), own["logit_rna"].to_numpy()
    varies = len(own) >= FEWEST and np.ptp(flow) > 0 and np.ptp(rna) > 0
    return {
        "true_rho": float(spearmanr(flow, rna)[0]) if varies else float("nan"),
        "true_ratio": float(np.exp(np.median(rna - flow))),
    }
