"""Self-organising map, consensus and mapping, beside flowsom."""

import numpy as np
from harness import alone, beside, best

from biocross.flow.clusters.consensus import join_nodes
from biocross.flow.som import SelfOrganisingMap, marker_ranges, nearest_nodes_of_columns

N_CLUSTERS = 30
TARGET = 15
MAPPING_TARGET = 0.6


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
    from anndata import AnnData
    from flowsom import FlowSOM
    from flowsom.models import FlowSOMEstimator
    from loguru import logger

    logger.disable("flowsom")
    values = simulate()
    trained = SelfOrganisingMap()

    def train():
        trained.fit(values / marker_ranges(values))
        join_nodes(trained.nodes_, N_CLUSTERS, trained.sizes_)

    # As flowsom is called: with what it compiles anew in every process, and its tables of medians.
    names = [str(marker) for marker in range(values.shape[1])]
    cells = AnnData(values.astype(np.float64))
    whole = {
        "ours": train,
        "theirs": lambda: FlowSOM(cells, N_CLUSTERS, names, seed=1),
    }
    first = best(whole, repeats=1)
    # Compiled by now, and the map and its clusters alone.
    estimator = FlowSOMEstimator(n_clusters=N_CLUSTERS, seed=1)
    second = best({"ours": train, "theirs": lambda: estimator.fit(cells.X)}, repeats=1)
    what = "map and consensus, 200,000 x 20"
    columns = [np.tile(column, 5) for column in (values / marker_ranges(values)).T]
    mapping = best({"ours": lambda: nearest_nodes_of_columns(columns, trained.nodes_)})["ours"]
    return [
        beside(f"{what}, first call", first["ours"], "FlowSOM()", first["theirs"], TARGET),
        beside(f"{what}, compiled", second["ours"], "its fit", second["theirs"]),
        alone("1 M x 20 to 100 nodes", mapping, MAPPING_TARGET),
    ]
