import numpy as np
import pytest

from biocross.cells.proteins import centred_log_ratio, isotype_controls, weak_proteins


def seurat(values):
    """Seurat's CLR of one vector: log1p(x / exp(sum(log1p(x[x > 0])) / length(x)))."""
    return np.log1p(values / np.exp(np.log1p(values[values > 0]).sum() / values.size))


@pytest.mark.parametrize(("over", "axis"), [("proteins", 1), ("cells", 0)])
def test_clr_is_seurats(over, axis):
    counts = np.random.default_rng(1).poisson(3, (30, 8)).astype(np.int32)
    expected = np.apply_along_axis(seurat, axis, counts.astype(float))
    np.testing.assert_allclose(centred_log_ratio(counts, over), expected, rtol=1e-6)


def test_a_cells_clr_does_not_depend_on_the_other_cells():
    counts = np.random.default_rng(1).poisson(20, (30, 8)).astype(np.int32)
    np.testing.assert_array_equal(centred_log_ratio(counts)[:5], centred_log_ratio(counts[:5]))
    alone = centred_log_ratio(counts[:5], "cells")
    assert not np.allclose(centred_log_ratio(counts, "cells")[:5], alone)


def test_nothing_gives_nothing():
    assert centred_log_ratio(np.zeros((0, 3), np.int32)).shape == (0, 3)
    assert centred_log_ratio(np.zeros((3, 0), np.int32), "cells").shape == (3, 0)
    assert not centred_log_ratio(np.zeros((2, 3), np.int32)).any()


def test_isotype_controls_are_noticed():
    controls = [
        *("MouseIgG1kappaisotype_PROT", "Mouse IgG2bkIsotype_PROT", "RatIgG2bkIsotype_PROT"),
        *("IgG1_isotype_ctrl", "Rat-IgG2a", "Iso-Ctrl"),
    ]
    proteins = ["CD3", "IgD", "IgM", "IgA", "HLA-DR", "CD16", "CD45RO"]
    assert isotype_controls([*proteins, *controls]) == controls


def test_antibodies_that_stain_nothing_are_named():
    counts = np.zeros((200, 3), np.int32)
    counts[:, 0] = 5
    counts[:20, 1] = 40
    assert weak_proteins(counts, ["CD3", "CD19", "CD56"]) == ["CD56"]
    assert weak_proteins(counts[:0], ["CD3", "CD19", "CD56"]) == []
