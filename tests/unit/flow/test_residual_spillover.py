import numpy as np
import pytest

from biocross.flow.events import write_events
from biocross.flow.residual_spillover import (
    FLAGGED,
    compare_batches,
    find_residual_spillover,
    light_left,
    residual_warnings,
)
from biocross.flow.transform_table import TRANSFORM_COLUMNS
from biocross.flow.transforms import Transform, apply_transform
from biocross.tables import read_rows, write_rows

TOP = 262144.0
MARKERS = ("CCR7", "CRTH2", "CD4")
LOGICLE = Transform("logicle", TOP, 4.5, 0.5)


def draw(seed, share=0.0, stain=1.0, n=6000):
    """Half of the cells bear CCR7, all CD4, a tenth CRTH2; CCR7 shines into CRTH2 by a share."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 60, (3, n))
    ccr7 = np.where(rng.random(n) < 0.5, 4000 * 10 ** rng.normal(0, 0.2, n), 0) * stain
    crth2 = np.where(rng.random(n) < 0.1, 1500 * 10 ** rng.normal(0, 0.2, n), 0)
    cd4 = 20000 * 10 ** rng.normal(0, 0.1, n)
    return np.stack([ccr7, crth2 + share * ccr7, cd4]) + noise


@pytest.mark.parametrize("share", [0.0, 0.03, 0.1])
def test_the_share_of_light_that_is_left_is_measured(share):
    left = light_left(draw(1, share), np.full(3, TOP))
    assert left[0, 1] == pytest.approx(share, abs=0.012)
    assert left[0, 2] > 1  # borne by all cells
    assert np.isnan(np.diag(left)).all()


def test_too_few_bright_cells_are_not_judged():
    values = draw(1)
    values[0, 90:] = 0
    assert np.isnan(light_left(values, np.full(3, TOP))[0]).all()
    assert np.isnan(light_left(values[:, :50], np.full(3, TOP))).all()


def test_batches_of_one_sample_and_unknown_ones_are_not_compared():
    left = np.zeros((6, 2, 2))
    names = [(one.batch, one.reference, one.n) for one in compare_batches(left, [*"aabbc", ""])]
    assert names == [("a", "b", 2), ("b", "a", 2)]


@pytest.fixture
def compare(tmp_path):
    panel, transforms = tmp_path / "panel.tsv", tmp_path / "transforms.tsv"
    rows = [{"channel": f"{name}-A", "marker": name, "kind": "lineage"} for name in MARKERS]
    write_rows(panel, ("channel", "marker", "kind"), rows)
    values = {"transform": LOGICLE.kind, "top": TOP, "decades": 4.5, "width": 0.5}
    write_rows(transforms, TRANSFORM_COLUMNS, ({"marker": m, **values} for m in MARKERS))

    def run(*samples):
        paths = []
        for number, (batch, linear) in enumerate(samples):
            columns = {
                name: apply_transform(row.astype(np.float32), LOGICLE)
                for name, row in zip(MARKERS, linear, strict=True)
            }
            meta = {"sample_id": f"S{number}", "batch": batch}
            paths.append(tmp_path / f"S{number}.arrow")
            write_events(paths[-1], columns, np.zeros(linear.shape[1], dtype=np.uint8), meta)
        find_residual_spillover(paths, panel, transforms, tmp_path / "residuals.tsv")
        return read_rows(tmp_path / "residuals.tsv")

    return run


def test_a_tandem_that_fell_apart_is_named_with_its_batch(compare):
    old = [("new", draw(seed)) for seed in range(4)]
    rows = compare(*old, *(("old", draw(seed, 0.06)) for seed in range(4, 8)))
    (row,) = [row for row in rows if row["flagged"] == "yes"]
    assert (row["dye"], row["detector"], row["batch"]) == ("CCR7", "CRTH2", "old")
    assert float(row["difference"]) == pytest.approx(0.06, abs=0.01)
    assert (row["n_samples"], row["reference_batch"]) == ("4", "new")
    (sentence,) = residual_warnings(rows)
    assert "CCR7 shines into CRTH2 in batch old" in sentence
    assert "tandem" in sentence


def test_brighter_stains_and_single_batches_are_no_news(compare):
    assert compare(*(("one", draw(seed, 0.06 * (seed > 3))) for seed in range(8))) == []
    stained = [("a", draw(seed)) for seed in range(4)]
    stained += [("b", draw(seed, stain=1.5)) for seed in range(4, 8)]
    assert not any(row["flagged"] == "yes" for row in compare(*stained))
    little = [*stained[:4], *(("b", draw(seed, FLAGGED / 2)) for seed in range(4, 8))]
    assert not any(row["flagged"] == "yes" for row in compare(*little))
