"""Counting beads in a gate that was drawn elsewhere."""

import numpy as np
import yaml

from biocross.flow.events import write_events
from biocross.flow.imported.gating import gate_patient_as_drawn
from biocross.tables import read_rows

STEPS = ("nonfinite", "margin", "bead_clump", "counting_bead", "doublet", "dead", "time")
TABLES = ("counts", "expression", "unknown", "stored_counts")


def test_beads_are_counted_among_dead_cells_and_in_steady_stretches(
    tmp_path, write_fcs, write_gatingml, parts
):
    """30 beads that look dead, ten of them in a stretch that was set aside; 60 cells, 30 dead."""
    side = np.repeat([100, 900, 100, 900], [60, 20, 30, 10])
    flags = np.repeat(["", "dead", "dead", "dead", "time"], [60, 20, 30, 10, 30])
    side = np.append(side, np.full(30, 100))
    values = np.column_stack([np.full(side.size, 500), side, np.zeros(side.size)])
    fcs = write_fcs("a.fcs", values.astype(np.float32), ("FSC-A", "FL1-A", "FL2-A"))
    # The last ten beads lie nearer to the stretch set aside than to a cell that passed.
    quality = np.array([STEPS.index(flag) + 1 if flag else 0 for flag in flags], dtype=np.uint8)
    meta = {"sample_id": "P1_b", "patient_id": "P1", "tissue": "whole_blood"}
    meta |= {"flag_steps": ",".join(STEPS), "beads_added": "1000"}
    columns = {"CD45": values[:, 1].astype(np.float32)}
    write_events(tmp_path / "a.arrow", columns, quality, meta)
    gates = write_gatingml(
        parts["gatingml_gate"]("all", "RectangleGate", parts["axis"]("FL1-A", 50))
        + parts["gatingml_gate"]("beads", "RectangleGate", parts["axis"]("FL1-A", 800))
    )
    sheet = tmp_path / "gate_paths.tsv"
    sheet.write_text("gate\tpopulation\nall\tleukocytes\nbeads\tcounting_beads\n")
    populations = tmp_path / "populations.yaml"
    populations.write_text(yaml.safe_dump({"leukocytes": {"parent": None, "flow": "x"}}))
    (tmp_path / "panel.tsv").write_text("channel\tmarker\tkind\nFL1-A\tCD45\tlineage\n")
    gate_patient_as_drawn(
        *(gates, sheet, populations, tmp_path / "panel.tsv"),
        *(["P1_b"], [fcs], ["P1"], "as_drawn", "P1", [tmp_path / "a.arrow"]),
        *(tmp_path / f"{name}.tsv" for name in TABLES),
        tmp_path / "membership.arrow",
    )
    counts = {row["population"]: row["count"] for row in read_rows(tmp_path / "counts.tsv")}
    assert counts == {"leukocytes": "60", "counting_beads": "20"}
