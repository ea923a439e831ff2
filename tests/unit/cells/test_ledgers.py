"""The tables of all libraries, gathered."""

from biocross.cells.flags import LEDGER_COLUMNS, ledger_row
from biocross.cells.ledgers import summarise_libraries
from biocross.cells.prepare import GENE_COLUMNS, WARNING_COLUMNS
from biocross.flow.losses import read_losses
from biocross.tables import read_rows, write_rows


def test_a_sample_of_two_libraries_is_added_up_and_can_be_tested_as_a_loss(tmp_path):
    ledgers, warnings, genes = [], [], []
    for name, counts in (("L1", (100, 5)), ("L2", (50, 10))):
        rows = [
            ledger_row("P1_baseline", name, "read", counts[0], 0),
            ledger_row("P1_baseline", name, "counts", counts[0], counts[1]),
            ledger_row("", name, "read", 7, 0),
        ]
        ledgers.append(tmp_path / f"{name}.ledger.tsv")
        write_rows(ledgers[-1], LEDGER_COLUMNS, rows)
        warnings.append(tmp_path / f"{name}.warnings.tsv")
        said = {"library": name, "check": "ambient", "message": "much"}
        write_rows(warnings[-1], WARNING_COLUMNS, [said])
        genes.append(tmp_path / f"{name}.genes.tsv")
        write_rows(genes[-1], GENE_COLUMNS, [])
    out = {key: tmp_path / f"{key}.tsv" for key in ("ledger", "warnings", "genes")}
    summarise_libraries(ledgers, warnings, genes, *out.values())
    losses = read_losses(out["ledger"])
    assert set(losses) == {"P1_baseline"}
    assert (losses["P1_baseline"].events, losses["P1_baseline"].lost) == (150, 15)
    assert read_rows(out["ledger"])[0]["library"] == "L1;L2"
    assert [row["library"] for row in read_rows(out["warnings"])] == ["L1", "L2"]
    assert read_rows(out["genes"]) == []
