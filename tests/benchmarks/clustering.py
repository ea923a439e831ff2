"""Self-organising map, consensus, mapping, beside flowsom."""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from harness import alone, beside, fresh, medians, peak_memory, within

from biocross.cohort.vocabulary import load_vocabulary
from biocross.cohort.vocabulary import within as holders
from biocross.flow.clusters.consensus import join_nodes
from biocross.flow.clusters.flow_map import FlowMap, Maps, Zoom, write_maps
from biocross.flow.clusters.lineage_negative import LineageBorder
from biocross.flow.clusters.mapping import map_flow_sample
from biocross.flow.clusters.pool import pool_events
from biocross.flow.events import write_events
from biocross.flow.som import SelfOrganisingMap, marker_ranges, nearest_nodes_of_columns
from biocross.tables import write_rows

N_CLUSTERS = 30
TARGET = 15
MAPPING_TARGET = 0.6
VOCABULARY = Path(__file__).parents[2] / "config" / "populations.yaml"
# A sample as large as they come, 20 of its markers axes, and populations with maps of their own.
N_EVENTS, N_MARKERS, N_AXES = 1_000_000, 30, 20
TRAINED_EVENTS = 20_000
ZOOMED = ("ILC", "CD4_T", "CD8_T")
# On two cores 120 samples in three minutes.
SAMPLE_SECONDS = 3
POOLED = 40
RUNS = 3
# What one sample may use beside its single-precision values, in megabytes.
MEMORY_MB = 300


def simulate(n_events=200_000, n_markers=20, n_populations=20, seed=1):
    """Draw populations that have 0.05 to 15 % of the events and differ in some markers.

    Returns
    -------
    ndarray
        Transformed values, shape (events, markers).
    """
    random = np.random.default_rng(seed)
    positive = random.random((n_populations, n_markers)) < 0.4
    shares = np.geomspace(0.0005, 0.15, n_populations)
    own = random.choice(n_populations, n_events, p=shares / shares.sum())
    noise = random.normal(0, 0.09, (n_events, n_markers))
    return (0.2 + 0.45 * positive[own] + noise).astype(np.float32)


def measure():
    """Time training with consensus, and mapping.

    Returns
    -------
    list of Row
        Of 10 x 10 nodes.
    """
    values = simulate()
    first = {
        program: median(fresh("clustering.py", program)[1] for _ in range(RUNS))
        for program in ("biocross", "flowsom")
    }
    trained = SelfOrganisingMap()
    # What is compiled is compiled by the second call of three.
    compiled = medians({"ours": lambda: train(values, trained), "theirs": flowsom_fit(values)})
    what = "map and consensus, 200,000 x 20"
    columns = [np.tile(column, 5) for column in (values / marker_ranges(values)).T]
    mapping = medians({"ours": lambda: nearest_nodes_of_columns(columns, trained.nodes_)})["ours"]
    return [
        beside(
            f"{what}, first call of a process",
            first["biocross"],
            *("FlowSOM()", first["flowsom"], TARGET),
        ),
        beside(f"{what}, compiled", compiled["ours"], "its fit", compiled["theirs"]),
        alone("1 M x 20 to 100 nodes", mapping, MAPPING_TARGET),
        *measure_jobs(),
    ]


def train(values, som):
    """Train a map and join its nodes."""
    som.fit(values / marker_ranges(values))
    join_nodes(som.nodes_, N_CLUSTERS, som.sizes_)


def flowsom_fit(values):
    """Return a function that trains flowsom's map and joins its nodes, and does nothing else."""
    from flowsom.models import FlowSOMEstimator

    double = values.astype(np.float64)
    estimator = FlowSOMEstimator(n_clusters=N_CLUSTERS, seed=1)
    return lambda: estimator.fit(double)


def whole_flowsom(values):
    """Return a function that calls flowsom as its users do, with its tables of medians."""
    from anndata import AnnData
    from flowsom import FlowSOM
    from loguru import logger

    logger.disable("flowsom")
    names = [str(marker) for marker in range(values.shape[1])]
    cells = AnnData(values.astype(np.float64))
    return lambda: FlowSOM(cells, N_CLUSTERS, names, seed=1)


def first_call(program):
    """Time the first training in this process; importing the program is not part of it.

    Parameters
    ----------
    program
        ``biocross`` or ``flowsom``.

    Returns
    -------
    float
        Seconds of the processor.
    """
    values = simulate()
    own = program == "biocross"
    call = (lambda: train(values, SelfOrganisingMap())) if own else whole_flowsom(values)
    start = time.process_time()
    call()
    return time.process_time() - start


def measure_jobs():
    """Map a sample as a job of the workflow does, and draw the pool of many samples.

    Returns
    -------
    list of Row
        Seconds of the processor with process start, and peak memory of both.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_study(Path(folder))
        runs = [fresh("clustering.py", "map", folder)[1] for _ in range(RUNS)]
        pooled, _ = fresh("clustering.py", "pool", folder, POOLED)[1]
    allowed = 4 * N_EVENTS * N_MARKERS / 1e6 + MEMORY_MB
    what = f"map_flow_sample 1 M x {N_MARKERS}, {1 + len(ZOOMED)} maps of 100 nodes"
    pool = f"pool of {POOLED} samples of 1 M x {N_MARKERS}"
    return [
        alone(f"{what}: of the processor", median(s for _, s in runs), SAMPLE_SECONDS),
        within(f"{what}: peak memory of float32 + 300 MB", max(m for m, _ in runs), allowed),
        within(f"{pool}: peak memory of one float32 + 300 MB", pooled, allowed),
    ]


def write_study(folder, n_events=N_EVENTS):
    """Write a sample, its panel, four maps of it, and names of their clusters.

    Parameters
    ----------
    folder
        Receives the files.
    n_events
        Of the sample.
    """
    values = simulate(n_events, N_MARKERS)
    markers = [f"M{position}" for position in range(N_MARKERS)]
    columns = dict(zip(markers, values.T, strict=True))
    meta = {"sample_id": "S1", "patient_id": "P1"}
    write_events(folder / "events.arrow", columns, np.zeros(n_events, np.uint8), meta)
    panel = [{"channel": m, "marker": m, "kind": "lineage"} for m in markers]
    write_rows(folder / "panel.tsv", ("channel", "marker", "kind"), panel)
    zooms, layers = [], [("main", _train(values, markers[:N_AXES], 0))]
    for position, population in enumerate(ZOOMED):
        # Two markers divide, and the map is made of the others.
        borders = [LineageBorder(markers[2 * position + i], 0.4, False, "valley") for i in (0, 1)]
        layer = _train(values, markers[6 : 6 + N_AXES], N_CLUSTERS * (position + 1))
        zooms.append(Zoom(population, tuple(borders), layer))
        layers.append((population, layer))
    write_maps(folder / "map.arrow", Maps(layers[0][1], tuple(zooms)))
    _write_names(folder, layers)


def _train(values, axes, before):
    every = max(1, len(values) // TRAINED_EVENTS)
    own = values[::every, [int(axis[1:]) for axis in axes]]
    scale = marker_ranges(own)
    trained = SelfOrganisingMap().fit(own / scale)
    joined = join_nodes(trained.nodes_, N_CLUSTERS, trained.sizes_)
    return FlowMap(tuple(axes), scale, trained.nodes_, joined.clusters + np.uint16(before))


def _write_names(folder, layers):
    """Call the clusters by populations in turn, those of a zoom by its parts."""
    vocabulary = load_vocabulary(VOCABULARY)
    rows = []
    for name, layer in layers:
        parts = [p for p in vocabulary if name == "main" or name in holders(p, vocabulary)]
        for cluster in np.unique(layer.cluster_of_node).tolist():
            row = {"cluster": cluster, "map": name, "population": parts[cluster % len(parts)]}
            rows.append({**row, "stable": True, "used": True})
    write_rows(folder / "annotation.tsv", [*rows[0]], rows)
    found = [{"population": name, "status": "found", "stable": True} for name in vocabulary]
    write_rows(folder / "populations.tsv", [*found[0]], found)


def run_mapping(folder):
    """Do what ``workflow/scripts/map_flow_sample.py`` does.

    Parameters
    ----------
    folder
        Of `write_study`; receives the outputs.
    """
    map_flow_sample(
        events=folder / "events.arrow",
        maps=folder / "map.arrow",
        annotation=folder / "annotation.tsv",
        found=folder / "populations.tsv",
        panel=folder / "panel.tsv",
        populations=VOCABULARY,
        source_prefix="",
        labels_out=folder / "labels.arrow",
        counts_out=folder / "counts.tsv",
        expression_out=folder / "expression.tsv",
    )


def run_pooling(folder, n_samples):
    """Draw the pool of a cohort that has the same sample many times.

    Parameters
    ----------
    folder
        Of `write_study`.
    n_samples
        How many times.
    """
    markers = [f"M{position}" for position in range(N_MARKERS)]
    pool_events([folder / "events.arrow"] * int(n_samples), markers, 2_000, seed=1)


if __name__ == "__main__":
    if sys.argv[1] in ("map", "pool"):
        job = {"map": run_mapping, "pool": run_pooling}[sys.argv[1]]
        job(Path(sys.argv[2]), *sys.argv[3:])
        print(json.dumps([peak_memory(), time.process_time()]))
    else:
        print(json.dumps(first_call(sys.argv[1])))
