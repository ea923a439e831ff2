import pandas as pd
from flow_tables import flow_tables

from biocross.report.page.flow_quality import (
    border_warnings,
    flow_warnings,
    ledger_rows,
    threshold_rows,
)
from biocross.statistics.pairs import read_table
from biocross.tables import write_rows


def test_nothing_to_say_without_files():
    assert flow_warnings({}, 0.05) == []


def test_only_losses_below_the_false_discovery_rate_are_warnings(tmp_path):
    paths = flow_tables(tmp_path)
    assert [line for line in flow_warnings(paths, 0.05) if "loss" in line or "lost" in line] == [
        "mepolizumab, b - a: doublets: more were lost"
    ]
    assert any("an exploratory loss" in line for line in flow_warnings(paths, 0.5))


def test_the_ledger_in_short(tmp_path):
    ledger = pd.DataFrame(
        {
            "sample_id": ["S1", "S2", "S3"],
            "step": ["doublet", "doublet", "read"],
            "flagged": [1000, 3000, 0],
            "share": [0.01, 0.05, 0.0],
            "note": [None, "by FSC-W", "compensated"],
        }
    )
    assert ledger_rows(ledger) == [
        {
            "step": "doublets",
            "flagged": "4,000",
            "median": "3.00 %",
            "worst": "S2: 5.00 %",
            "note": "by FSC-W (1)",
        }
    ]


def test_notes_of_many_samples_are_counted():
    rows = [
        {"sample_id": "S", "step": "time", "flagged": 0, "share": 0.0, "note": n} for n in "aabcd"
    ]
    assert ledger_rows(pd.DataFrame(rows))[0]["note"].startswith("a (2); ")
    assert ledger_rows(pd.DataFrame(rows))[0]["note"].endswith("; ...")


def test_thresholds_in_short(tmp_path):
    (row,) = threshold_rows(read_table(flow_tables(tmp_path)["thresholds"]))
    assert (row["median"], row["range"], row["depth"]) == ("0.5", "0.4 to 0.9", "0.6")
    assert row["sources"] == "valley: 2, tail: 1"
    assert row["flags"] == "no valley: 1"
    assert row["population"] == "all cells"


def test_borders_that_were_mostly_not_found_are_doubted(tmp_path):
    path = tmp_path / "thresholds.tsv"
    columns = ("threshold", "method", "source")
    found = [("CRTH2", "mixture", "tail")] * 3 + [("CRTH2", "mixture", "mixture")]
    found += [("CD3", "valley", "valley")] * 4 + [("CD117", "tail", "tail")] * 4
    write_rows(path, columns, (dict(zip(columns, row, strict=True)) for row in found))
    rests = [{"population": "Th2", "threshold": name} for name in ("CRTH2", "CD3", "CD117")]
    (sentence,) = border_warnings({"thresholds": path}, rests)
    assert sentence.startswith("no mixture of CRTH2 was found in 3 of 4 samples")
    assert "Th2" in sentence
    assert border_warnings({}, rests) == []
