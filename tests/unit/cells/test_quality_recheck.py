import numpy as np
import pytest

from biocross.cells.flags import FLAGS
from biocross.cells.quality import find_few_or_many
from biocross.cells.quality_recheck import (
    ALL,
    RECHECK_COLUMNS,
    CellMeasures,
    recheck_cohort,
    recheck_flags,
)

COUNTS, MITO = FLAGS.index("counts") + 1, FLAGS.index("mitochondrial") + 1


def flagged_library(n_ilc=80, n_broken=30, depth=4000.0, seed=1):
    """T cells, ILC of a twentieth of their RNA, and broken T cells; flags of the whole library."""
    random = np.random.default_rng(seed)
    population = np.array(["T"] * 1500 + ["ILC"] * n_ilc + ["T"] * n_broken)
    level = np.where(population == "ILC", depth / 25, depth)
    level[-n_broken:] = depth / 30
    counts = np.rint(level * random.lognormal(0, 0.3, population.size))
    mito = random.normal(3, 0.5, population.size).clip(0.1)
    mito[-n_broken:] = 12
    found = find_few_or_many(counts, "counts").flagged
    flag = np.where(found, COUNTS, 0).astype(np.uint8)
    genes = np.rint(counts**0.8)
    top = random.normal(30, 2, population.size)
    return CellMeasures(counts, genes, top, mito), flag, population


def row_of(rows, population):
    return next(row for row in rows if row["population"] == population)


def test_a_population_of_little_rna_passes_again_and_broken_cells_do_not():
    measures, flag, population = flagged_library()
    assert (flag[population == "ILC"] > 0).mean() > 0.9
    found = recheck_flags(measures, flag, population, "L1")
    assert (found.flag[population == "ILC"] == 0).mean() > 0.95
    assert (found.flag[-30:] == COUNTS).all()
    ilc, t_cells = row_of(found.rows, "ILC"), row_of(found.rows, "T")
    assert ilc["status"] == "rescued"
    assert "pass again" in ilc["note"]
    assert ilc["rescued"] == (flag > 0)[population == "ILC"].sum() - ilc["flagged_within"]
    assert (t_cells["status"], t_cells["rescued"]) == ("kept", 0)
    assert set(ilc) <= set(RECHECK_COLUMNS)


def test_dying_cells_are_not_rescued():
    measures, flag, population = flagged_library()
    mito = measures.mito_percent.copy()
    dying = np.flatnonzero(population == "ILC")[:10]
    mito[dying] = 20
    found = recheck_flags(measures._replace(mito_percent=mito), flag, population, "L1")
    assert (found.flag[dying] > 0).all()


def test_flags_of_other_steps_stand():
    measures, flag, population = flagged_library()
    other = np.flatnonzero(population == "ILC")[:5]
    flag[other] = MITO
    found = recheck_flags(measures, flag, population, "L1")
    assert (found.flag[other] == MITO).all()


def test_a_rare_population_is_named_and_judged_over_all_libraries():
    parts = [
        flagged_library(n_ilc=15, depth=depth, seed=i)
        for i, depth in enumerate([1e3, 2e3, 4e3, 8e3, 16e3, 32e3])
    ]
    measures = CellMeasures(
        *(np.concatenate(values) for values in zip(*(p[0] for p in parts), strict=True))
    )
    flag = np.concatenate([part[1] for part in parts])
    population = np.concatenate([part[2] for part in parts])
    library = np.repeat([f"L{i}" for i in range(6)], [part[1].size for part in parts])
    # Of a deep library, but with as little RNA as an ILC has in a shallow one.
    debris = np.flatnonzero((population == "ILC") & (library == "L5"))[0]
    measures.n_counts[debris], measures.n_genes[debris] = 40, 20
    found = recheck_cohort(measures, flag, population, library)
    alone = [r for r in found.rows if r["population"] == "ILC" and r["library"] != ALL]
    assert {row["status"] for row in alone} == {"not_possible"}
    assert "too few" in alone[0]["note"]
    together = next(row for row in found.rows if row["library"] == ALL)
    assert together["status"] == "rescued"
    assert (found.flag[population == "ILC"] == 0).mean() > 0.9
    assert found.flag[debris] > 0
    assert (found.flag[(population == "T") & (flag > 0)] > 0).all()


def test_a_population_of_broken_cells_is_lost_and_said():
    measures, flag, population = flagged_library(n_ilc=60)
    broken = population == "ILC"
    measures.mito_percent[broken] = 30
    found = recheck_flags(measures, flag, population, "L1")
    row = row_of(found.rows, "ILC")
    assert row["status"] == "lost"
    assert (found.flag[broken] == flag[broken]).all()


def test_unlabelled_cells_and_labels_to_keep_out_are_not_judged():
    measures, flag, population = flagged_library()
    found = recheck_flags(measures, flag, np.full(flag.size, ""), "L1")
    assert found.rows == []
    np.testing.assert_array_equal(found.flag, flag)
    kept = recheck_flags(measures, flag, population, "L1", keep_out=["ILC"])
    np.testing.assert_array_equal(kept.flag, flag)


@pytest.mark.parametrize("n_cells", [0, 5])
def test_hardly_any_cells(n_cells):
    values = CellMeasures(*(np.ones(n_cells) for _ in range(4)))
    labels = np.full(n_cells, "T")
    found = recheck_cohort(values, np.zeros(n_cells, np.uint8), labels, np.full(n_cells, "L1"))
    assert all(row["status"] == "kept" for row in found.rows)


def test_a_population_that_loses_little_more_than_the_rest_keeps_its_flags():
    random = np.random.default_rng(2)
    values = CellMeasures(*(random.lognormal(2, 0.1, 20_000) for _ in range(4)))
    population = np.repeat(["T", "B"], 10_000)
    flag = np.zeros(20_000, dtype=np.uint8)
    flag[:500], flag[10_000:10_700] = COUNTS, COUNTS
    found = recheck_flags(values, flag, population, "L1")
    assert {row["status"] for row in found.rows} == {"kept"}
    np.testing.assert_array_equal(found.flag, flag)
