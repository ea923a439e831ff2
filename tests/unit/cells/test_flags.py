import numpy as np
import pytest

from biocross.cells.flags import FLAGS, LEDGER_COLUMNS, ledger_rows, nothing, set_aside, sum_ledgers
from biocross.flow.losses import read_losses
from biocross.tables import read_rows, write_rows


def test_the_first_step_that_flags_a_cell_counts():
    flag = np.zeros(4, dtype=np.uint8)
    set_aside(flag, "counts", np.array([True, True, False, False]))
    set_aside(flag, "doublet", np.array([False, True, True, False]))
    counts, doublet = FLAGS.index("counts") + 1, FLAGS.index("doublet") + 1
    assert flag.tolist() == [counts, counts, doublet, 0]


def test_every_sample_of_the_sheet_has_every_step():
    flag = np.array([0, 3, 7, 0, 1], dtype=np.uint8)
    sample_of = np.array(["S1", "S1", "S1", "S2", ""])
    rows = ledger_rows("L1", ["S1", "S2", "S3"], sample_of, flag, {"counts": "a"}, {"S3": "b"})
    assert len(rows) == 4 * (1 + len(FLAGS))
    mine = {row["step"]: row for row in rows if row["sample_id"] == "S1"}
    assert mine["read"]["events_before"] == 3
    assert (mine["counts"]["flagged"], mine["counts"]["note"]) == (1, "a")
    assert (mine["doublet"]["events_before"], mine["doublet"]["flagged"]) == (2, 1)
    assert mine["doublet"]["share"] == pytest.approx(0.5)
    empty = [row for row in rows if row["sample_id"] == "S3"]
    assert empty[0]["note"] == "b"
    assert empty[1]["note"].startswith("not_possible")
    nobody = [row for row in rows if row["sample_id"] == ""]
    assert nobody[1]["flagged"] == 1


def test_the_ledger_reads_like_that_of_flow(tmp_path):
    flag = np.array([0, 3, 7, 0], dtype=np.uint8)
    rows = ledger_rows("L1", ["S1"], np.full(4, "S1"), flag, {}, {})
    write_rows(tmp_path / "ledger.tsv", LEDGER_COLUMNS, rows)
    losses = read_losses(tmp_path / "ledger.tsv")
    assert losses["S1"].events == 4
    assert losses["S1"].lost == 2


def test_ledgers_of_one_sample_on_two_libraries_add_up(tmp_path):
    rows = []
    for library, flag in (("L1", [0, 3]), ("L2", [3, 3, 0])):
        values = np.array(flag, dtype=np.uint8)
        notes = {"counts": f"limits of {library}"}
        rows += ledger_rows(library, ["S1"], np.full(values.size, "S1"), values, notes, {})
    rows += ledger_rows("L2", [], np.array([""]), np.ones(1, dtype=np.uint8), {}, {})
    write_rows(tmp_path / "ledger.tsv", LEDGER_COLUMNS, rows)
    summed = sum_ledgers(read_rows(tmp_path / "ledger.tsv"))
    assert len(summed) == 1 + len(FLAGS)
    counts = next(row for row in summed if row["step"] == "counts")
    assert (counts["events_before"], counts["flagged"]) == (5, 3)
    assert counts["share"] == pytest.approx(0.6)
    assert counts["library"] == "L1;L2"
    assert counts["note"] == "L1: limits of L1; L2: limits of L2"


def test_a_step_that_is_not_possible_flags_nothing_and_says_why():
    step = nothing(3, "no dye")
    assert not step.flagged.any()
    assert step.note == "not_possible: no dye"
