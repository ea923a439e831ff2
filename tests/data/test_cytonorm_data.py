"""The example of CytoNorm: two volunteers in three batches, the first of them the anchor.

``Norm_*.fcs`` is what the R package made of the second volunteer with one function per marker and
batch (99 quantiles, no clusters), learned from the first.
"""

import numpy as np
import pytest

from biocross.flow.events import read_events, write_events
from biocross.flow.fcs import read_fcs
from biocross.flow.normalisation.earth_movers import earth_movers_distance, largest_distance
from biocross.flow.normalisation.normalise import normalise_flow_sample, train_normalisation
from biocross.tables import read_rows

pytestmark = pytest.mark.data
BATCHES = ("021", "028", "034")


def write_prepared(path, fcs, channels, cofactor, shift=0):
    found = read_fcs(fcs)
    names = [name.strip() for name in found.channels]
    values = {
        name: np.arcsinh(found.events[:, names.index(name)] / cofactor).astype(np.float32) + shift
        for name in channels
    }
    quality = np.zeros(len(found.events), dtype=np.uint8)
    write_events(path, values, quality, {"sample_id": path.stem})
    return path


def write_panel(path, channels):
    rows = [f"{name}\t{name}\tlineage" for name in channels]
    path.write_text("\n".join(["channel\tmarker\tkind", *rows, ""]))
    return path


def matrix(path):
    return np.stack(list(read_events(path).values.values()), axis=1)


@pytest.fixture(scope="module")
def volunteers(test_data, tmp_path_factory):
    """Prepared events of both volunteers and of R's result, by batch."""
    source, folder = test_data / "cytonorm", tmp_path_factory.mktemp("cytonorm")
    channels = (source / "coding_detectors.txt").read_text().split()
    names = {"anchor": "Gates_PTLG{}_Unstim_Control_1", "raw": "Gates_PTLG{}_Unstim_Control_2"}
    names["r"] = "Norm_" + names["raw"]
    files = {
        kind: [
            write_prepared(
                folder / f"{kind}{b}.arrow", source / f"{name.format(b)}.fcs", channels, 5
            )
            for b in BATCHES
        ]
        for kind, name in names.items()
    }
    return folder, files, write_panel(folder / "panel.tsv", channels)


def normalise(volunteers, n_clusters):
    folder, files, panel = volunteers
    functions, guard = folder / "functions.npz", folder / "guard.tsv"
    train_normalisation(
        [*files["anchor"], *files["raw"]], [*BATCHES, *BATCHES], [""] * 3 + ["V1"] * 3,
        ["Volunteer1"] * 3 + ["Volunteer2"] * 3, ["anchor"] * 3 + ["sample"] * 3, panel,
        method="anchors", goal="mean", n_clusters=n_clusters, seed=1,
        functions_out=functions, guard_out=guard,
    )  # fmt: skip
    made = [folder / f"ours{batch}.arrow" for batch in BATCHES]
    for batch, path, out in zip(BATCHES, files["raw"], made, strict=True):
        normalise_flow_sample(path, functions, batch, out)
    return [matrix(path) for path in made], read_rows(guard)


def test_close_to_the_r_package(volunteers):
    ours, guard = normalise(volunteers, n_clusters=1)
    for mine, raw_file, r_file in zip(ours, volunteers[1]["raw"], volunteers[1]["r"], strict=True):
        raw, r = matrix(raw_file), matrix(r_file)
        # 0.0024 against 0.085 as measured: we shift beyond the outermost percentiles, R goes on
        # with the slope that its spline ends with.
        assert np.abs(mine - r).mean() < 0.004
        assert np.abs(raw - r).mean() > 0.08
        assert np.median(np.abs(mine - r)) < 1e-3
        for marker in range(raw.shape[1]):
            mine_away = earth_movers_distance(mine[:, marker], r[:, marker])
            assert mine_away < 0.5 * earth_movers_distance(raw[:, marker], r[:, marker])
    assert guard[0]["verdict"] == "better"


@pytest.mark.parametrize("n_clusters", [1, 5])
def test_the_second_volunteer_is_more_alike_between_batches(volunteers, n_clusters):
    """As the R package brings it about, measured on who was not learned from."""
    ours, _ = normalise(volunteers, n_clusters)
    raw, r = ([matrix(path) for path in volunteers[1][kind]] for kind in ("raw", "r"))
    apart = {
        name: np.mean([largest_distance([m[:, i] for m in sets]) for i in range(ours[0].shape[1])])
        for name, sets in (("raw", raw), ("r", r), ("ours", ours))
    }
    assert apart["ours"] < 0.85 * apart["raw"]
    assert apart["ours"] < 1.03 * apart["r"]


@pytest.mark.parametrize(("planted", "verdict"), [(0, "no_better"), (1, "better")])
def test_range_of_the_sites_of_itn(test_data, tmp_path, planted, verdict):
    """Blood of 15 patients measured at three sites, without anchors.

    Patients of one site differ as much as those of two: there is nothing to gain, and the patients
    held out say so. A shift of one site by a unit is found.
    """
    source = test_data / "itn"
    rows = [line.split(",") for line in (source / "metadata.csv").read_text().splitlines()[1:]]
    channels = ["CD8", "CD69", "CD4", "CD3", "HLADr"]
    events = []
    for row in rows:
        path = tmp_path / f"{row[0]}.arrow"
        write_prepared(path, source / f"{row[0]}.fcs", channels, 5, planted * (row[2] == "4"))
        events.append(path)
    batches = [f"site{row[2]}" for row in rows]
    guard = tmp_path / "guard.tsv"
    train_normalisation(
        events, batches, [row[4] for row in rows], [row[6] for row in rows],
        ["sample"] * len(rows), write_panel(tmp_path / "panel.tsv", channels),
        method="range", goal="mean", n_clusters=1, seed=0,
        functions_out=tmp_path / "functions.npz", guard_out=guard,
    )  # fmt: skip
    found = read_rows(guard)[0]
    assert found["held_out"] == "half of the patients"
    assert found["verdict"] == verdict
