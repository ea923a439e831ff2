"""Cells with known names: every population expresses the markers of the vocabulary."""

from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from biocross.cells.marker_scores import load_markers
from biocross.tables import write_rows

POPULATIONS = Path(__file__).parents[1] / "config" / "populations.yaml"
# Shares in blood; Th2 are 1 % of all cells, progenitors and pDC .5 %.
SHARES = {
    "CD4_naive": 0.20,
    "CD4_memory": 0.15,
    "Treg": 0.03,
    "Th2": 0.01,
    "CD8_naive": 0.08,
    "CD8_effector": 0.10,
    "NK_dim": 0.08,
    "NK_bright": 0.02,
    "B_naive": 0.07,
    "B_memory": 0.05,
    "monocytes_classical": 0.14,
    "monocytes_nonclassical": 0.04,
    "cDC2": 0.02,
    "pDC": 0.005,
    "progenitors": 0.005,
}
INTERFERON = ("ISG15", "IFI6", "IFIT1", "IFIT3", "MX1", "OAS1", "IFI44L", "RSAD2")
MARKER_COUNTS = 6.0
DEPTH = 4_000


@cache
def lineage_of(population):
    """Branch of a population below the leukocytes."""
    markers = load_markers(POPULATIONS)
    while markers[population].gated_under != "leukocytes":
        population = markers[population].gated_under
    return population


def make_cells(n_cells, seed=1, n_genes=1_500, batch_sd=0.0, n_batches=1, interferon=0.0):
    """Draw counts of cells.

    Parameters
    ----------
    n_cells
        How many.
    seed
        Of all draws.
    n_genes
        Genes beside the markers.
    batch_sd
        Standard deviation of a gene's log difference between batches.
    n_batches
        Batches, drawn at random for each cell.
    interferon
        Log increase of `INTERFERON` in half of the cells (the visit).

    Returns
    -------
    anndata.AnnData
        `obs` truth, batch, visit.
    """
    random = np.random.default_rng(seed)
    markers = load_markers(POPULATIONS)
    named = sorted({gene for each in markers.values() for gene in (*each.present, *each.absent)})
    genes = [*named, *INTERFERON, "MT-CO1", "RPL13", *(f"GENE{i:04d}" for i in range(n_genes))]
    place = {gene: i for i, gene in enumerate(genes)}
    base = np.full(len(genes), 0.02)
    base[len(named) :] = random.lognormal(-1.0, 1.0, len(genes) - len(named))
    names = list(SHARES)
    log_means = np.log(np.tile(base, (len(names), 1)))
    for row, name in enumerate(names):
        lineage = name
        while lineage is not None and lineage != "leukocytes":
            absent = [place[gene] for gene in markers[lineage].absent]
            above = [place[gene] for gene in markers[lineage].present]
            log_means[row, above] = np.log(MARKER_COUNTS)
            log_means[row, absent] = np.log(0.01)
            lineage = markers[lineage].gated_under
        # What else a population does: a programme of its own, and one of its lineage.
        for key, size in ((name, 25), (lineage_of(name), 40)):
            own = np.random.default_rng([seed, *key.encode()])
            log_means[row, len(named) + 10 + own.choice(n_genes, size, replace=False)] += 1.5
    truth = random.choice(
        len(names), n_cells, p=np.array([*SHARES.values()]) / sum(SHARES.values())
    )
    batch = random.integers(0, n_batches, n_cells)
    visit = random.integers(0, 2, n_cells)
    shift = random.normal(0, batch_sd, (n_batches, len(genes)))
    counts = []
    for start in range(0, n_cells, 2_000):
        part = slice(start, start + 2_000)
        means = np.exp(log_means[truth[part]] + shift[batch[part]])
        columns = [place[gene] for gene in INTERFERON]
        means[:, columns] *= np.exp(interferon * visit[part])[:, None]
        depth = DEPTH * random.lognormal(0, 0.35, (len(means), 1))
        means *= depth / means.sum(axis=1, keepdims=True)
        counts.append(sparse.csr_matrix(random.poisson(means).astype(np.int32)))
    obs = pd.DataFrame(
        {
            "truth": [names[code] for code in truth],
            "batch": [f"lot_{code + 1}" for code in batch],
            "visit": np.where(visit == 1, "month_4", "baseline"),
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    return ad.AnnData(sparse.vstack(counts).tocsr(), obs=obs, var=pd.DataFrame(index=genes))


def write_study(folder, cells, n_patients=4):
    """Write prepared libraries, one per patient and visit, and the sheet of their samples.

    Returns
    -------
    libraries, samples
        Paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    patient = np.array([f"P{code + 1}" for code in random.integers(0, n_patients, cells.n_obs)])
    # A patient's visits share a batch, as they should.
    lots = {f"P{i + 1}": f"lot_{i % cells.obs.batch.nunique() + 1}" for i in range(n_patients)}
    patient = np.array(
        [random.choice([p for p, lot in lots.items() if lot == own]) for own in cells.obs.batch]
    )
    libraries, rows = [], []
    for name in lots:
        for visit in ("baseline", "month_4"):
            sample = f"{name}_{visit}"
            inside = (patient == name) & (cells.obs.visit == visit).to_numpy()
            part = cells[inside].copy()
            truth = part.obs["truth"].to_numpy()
            n = part.n_obs
            part.obs = pd.DataFrame(
                {
                    "library": pd.Categorical([sample] * n),
                    "sample_id": pd.Categorical([sample] * n),
                    "hashtag_call": pd.Categorical([""] * n),
                    "flag": np.zeros(n, dtype=np.uint8),
                    "n_counts": np.asarray(part.X.sum(axis=1)).ravel().astype(np.float32),
                    "given_truth": truth.astype(object),
                },
                index=[f"{sample}:{barcode}" for barcode in part.obs_names],
            )
            part.obsm["proteins"] = np.empty((n, 0), dtype=np.int32)
            part.uns["protein_names"] = []
            path = folder / f"{sample}.h5ad"
            part.write_h5ad(path)
            libraries.append(path)
            rows.append(
                {
                    "sample_id": sample,
                    "patient_id": name,
                    "visit": visit,
                    "modality": "rna",
                    "batch": lots[name],
                    "tissue": "pbmc",
                    "treatment": "mepolizumab",
                }
            )
    sheet = folder / "samples.tsv"
    write_rows(sheet, list(rows[0]), rows)
    return libraries, sheet
