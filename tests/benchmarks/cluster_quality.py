"""Compare clusters with manual gates, beside flowsom and Leiden: ``python cluster_quality.py``."""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from harness import use_one_core

from biocross.flow.compensation import compensate
from biocross.flow.fcs import read_fcs
from biocross.flow.transforms import (
    Transform,
    apply_transform,
    logicle_decades,
    logicle_width,
    negative_reference,
)
from biocross.tables import write_rows

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "results" / "benchmarks" / "cluster_quality.tsv"
COLUMNS = ("data", "k", "method", "f1", "f1_se", "ari", "ari_se", "f1_merged", "seconds")
LINEAGE = ("CD3", "CD45", "CD4", "CD20", "CD33", "CD123", "CD14", "IgM", "HLA-DR", "CD7")
# As in FlowSOM's vignette.
MOUSE = (8, 11, 13, 14, 15, 16, 17)
UNLABELLED = "Unlabeled"
OVERCLUSTERED = 40


def read_bodenmiller(data):
    """Return arcsinh-transformed lineage markers, and the manual gate of each event."""
    values, labels = [], []
    for path in sorted((data / "bodenmiller").glob("*.fcs")):
        file = read_fcs(path)
        names = [channel.split("(")[0] for channel in file.channels]
        values.append(np.arcsinh(file.events[:, [names.index(name) for name in LINEAGE]] / 5))
        labels += [path.stem.split("_")[1]] * len(values[-1])
    return np.concatenate(values).astype(np.float32), np.array(labels)


def read_mouse(data):
    """Return compensated and logicle-transformed markers, and the manual label of each event."""
    folder = data / "flowsom_68983"
    file = read_fcs(folder / "68983.fcs")
    events = compensate(file.events, file.channels, file.spillover)
    columns = []
    for channel in MOUSE:
        column, top = np.ascontiguousarray(events[:, channel]), file.ranges[channel]
        width = logicle_width([negative_reference(column)], top)
        logicle = Transform("logicle", top, logicle_decades(top), width)
        columns.append(apply_transform(column, logicle))
    labels = (folder / "gatingResult.csv").read_text().split("\n")[: len(events)]
    return np.column_stack(columns), np.array([label.strip().strip('"') for label in labels])


def score(truth, clusters):
    """Return mean F1 (Hungarian, each population alike), ARI, and F1 after merging clusters.

    Merged: each cluster goes to the population that most of its events are of.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score

    known = truth != UNLABELLED
    populations, own = np.unique(truth[known], return_inverse=True)
    clusters = clusters[known].astype(int)
    counts = np.zeros((len(populations), clusters.max() + 1))
    np.add.at(counts, (own, clusters), 1)
    f1 = _f1(counts)
    merged = np.zeros((len(populations), len(populations)))
    np.add.at(merged.T, counts.argmax(axis=0), counts.T)
    matched = f1[linear_sum_assignment(-f1)].sum() / len(populations)
    return matched, adjusted_rand_score(own, clusters), np.diag(_f1(merged)).mean()


def _f1(counts):
    own, found = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    return 2 * counts / np.maximum(own + found, 1)


def biocross(values, k, seed):
    from biocross.flow.clusters.consensus import join_nodes
    from biocross.flow.som import SelfOrganisingMap, marker_ranges

    som = SelfOrganisingMap(seed=seed).fit(values / marker_ranges(values))
    return join_nodes(som.nodes_, k, som.sizes_, seed=seed).clusters[som.labels_]


def flowsom(values, k, seed):
    from flowsom.models import FlowSOMEstimator

    return FlowSOMEstimator(n_clusters=k, seed=seed).fit_predict(values.astype(np.float64))


def flowsom_ranges(values, k, seed):
    """Give flowsom the scaling that biocross applies."""
    from biocross.flow.som import marker_ranges

    return flowsom(values / marker_ranges(values), k, seed)


def flowsom_z(values, k, seed):
    """Give flowsom z-scores, as the vignette of FlowSOM does."""
    return flowsom((values - values.mean(axis=0)) / values.std(axis=0), k, seed)


def leiden(values, k, seed):
    """Tune the resolution until there are k clusters, of 10 events or more, or nearly so."""
    from biocross.flow.clusters.leiden import describe_clusters, link_neighbours, partition
    from biocross.flow.som import marker_ranges, nearest_nodes

    values = values / marker_ranges(values)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(values))[:10_000])
    key = (len(values), values.shape[1], seed)
    if key not in GRAPHS:
        GRAPHS.clear()
        GRAPHS[key] = link_neighbours(values[drawn])
    low, high, best = 0.01, 20.0, None
    for _ in range(12):
        middle = (low * high) ** 0.5
        labels = partition(GRAPHS[key], middle, seed)
        n_clusters = int((np.bincount(labels) >= 10).sum())
        if best is None or abs(n_clusters - k) < best[0]:
            best = (abs(n_clusters - k), labels)
        if n_clusters == k:
            break
        low, high = (middle, high) if n_clusters < k else (low, middle)
    nodes, node_clusters = describe_clusters(values[drawn], best[1], seed)
    return node_clusters[nearest_nodes(values, nodes)[0]]


def ceiling(values, truth):
    """Return F1 and ARI of what learns from the labels: of each event's 15 nearest labelled ones.

    Clusters cannot do better than that, because labels came from markers and borders that are
    not all in `values`; five-fold cross-validated.
    """
    from sklearn.metrics import adjusted_rand_score, f1_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    from biocross.flow.som import marker_ranges

    known = truth != UNLABELLED
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scaled = (values / marker_ranges(values))[known]
    told = cross_val_predict(KNeighborsClassifier(15), scaled, truth[known], cv=folds)
    f1 = f1_score(truth[known], told, average="macro")
    return f1, adjusted_rand_score(truth[known], told)


GRAPHS = {}
METHODS = {
    "biocross": biocross,
    "flowsom": flowsom,
    "flowsom, ranges": flowsom_ranges,
    "flowsom, z-scores": flowsom_z,
    "Leiden": leiden,
}


def compare(data, n_seeds):
    """Run every method on both data sets.

    Returns
    -------
    list of dict
        Means and standard errors over the seeds.
    """
    rows = []
    for name, (values, truth), numbers in (
        ("bodenmiller", read_bodenmiller(data), (14, 20, OVERCLUSTERED)),
        ("flowsom_68983", read_mouse(data), (7, 10, OVERCLUSTERED)),
    ):
        scores = {(k, method): [] for k in numbers for method in METHODS}
        seconds = dict.fromkeys(scores, 0.0)
        for seed in range(n_seeds):
            for method, cluster in METHODS.items():
                for k in numbers:
                    start = time.process_time()
                    clusters = cluster(values, k, seed)
                    seconds[k, method] += time.process_time() - start
                    scores[k, method].append(score(truth, clusters))
        for (k, method), found in scores.items():
            mean = np.mean(found, axis=0)
            error = np.std(found, axis=0, ddof=1) / np.sqrt(n_seeds)
            numbers_of = (mean[0], error[0], mean[1], error[1], mean[2])
            cells = [f"{value:.3f}" for value in numbers_of]
            row = (name, k, method, *cells, f"{seconds[k, method] / n_seeds:.2f}")
            rows.append(dict(zip(COLUMNS, row, strict=True)))
            print("  ".join(str(cell).ljust(13) for cell in row), flush=True)
        best = [f"{value:.3f}" for value in ceiling(values, truth)]
        rows.append({"data": name, "method": "learnt from labels", "f1": best[0], "ari": best[1]})
        print(f"{name}, learnt from the labels: F1 {best[0]}, ARI {best[1]}", flush=True)
    return rows


def main():
    """Compare, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / ".." / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("a standard error needs two seeds")
    use_one_core()
    warnings.filterwarnings("ignore", module="flowsom|numba")
    print("  ".join(column.ljust(13) for column in COLUMNS))
    rows = compare(given.data, given.seeds)
    given.table.parent.mkdir(parents=True, exist_ok=True)
    write_rows(given.table, COLUMNS, rows)
    print(f"written to {given.table}")


if __name__ == "__main__":
    main()
