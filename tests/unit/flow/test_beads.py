import numpy as np
import pytest
import yaml

from biocross.errors import GatingError
from biocross.flow.beads import acquired_steadily, find_beads
from biocross.flow.events import Events, read_events
from biocross.flow.gating import gate_patient
from biocross.flow.losses import read_losses
from biocross.flow.prepare import prepare_flow_sample
from biocross.flow.signals import Compensation
from biocross.flow.transform_choice import estimate_transforms
from biocross.populations import gather_populations
from biocross.tables import read_rows, write_rows

CHANNELS = ("Time", "FSC-A", "FSC-H", "SSC-A", "A", "B", "C", "D")
MARKERS = {"A": "CD45", "B": "CD3", "C": "CD19", "D": "Live"}
CELLS, DEAD, BEADS, CLUMPS = 6000, 600, 1500, 40
T_CELLS = 2000
ADDED, VOLUME = 50_000, 100
BASELINE, MONTH_4 = "P1_baseline", "P1_month_4"


def made(seed, beads=BEADS):
    """Events of a tube of blood: T and B cells, dead ones, and beads that look dead."""
    rng = np.random.default_rng(seed)
    n = CELLS + DEAD
    cells = rng.normal(0, 60, (n, 4))
    cells[:, 0] += 20_000
    cells[:T_CELLS, 1] += 20_000
    cells[T_CELLS:CELLS, 2] += 20_000
    cells[CELLS:, 3] += 30_000
    height = rng.normal(60_000, 6_000, n)
    scatter = np.column_stack([height * rng.normal(1.1, 0.02, n), height])
    cells = np.column_stack([scatter, rng.normal(30_000, 3_000, n), cells])
    added = beads and beads + CLUMPS
    bright = 10 ** rng.normal(4.6, 0.03, (added, 4))
    tight = 40_000 * 10 ** rng.normal(0, 0.03, added)
    bright[beads:] *= 2
    tight[beads:] *= 2
    beads = np.column_stack([1.1 * tight, tight, 3 * tight, bright])
    events = rng.permutation(np.vstack([cells, beads]))
    return np.column_stack([np.arange(len(events)), events]).astype(np.float32)


class Laboratory:
    """All steps from FCS files to cells per microlitre, by name of the sample."""

    def __init__(self, folder, write_fcs):
        self.folder, self.write_fcs = folder, write_fcs
        rows = [f"{c}\t{c}\tscatter" for c in CHANNELS[1:4]] + ["Time\tTime\ttime"]
        rows += [
            f"{c}\t{m}\t{'viability' if m == 'Live' else 'lineage'}" for c, m in MARKERS.items()
        ]
        self.path("panel.tsv").write_text("\n".join(["channel\tmarker\tkind", *rows]) + "\n")
        entries = {
            "live": None,
            "leukocytes": "live",
            "T_cells": "leukocytes",
            "B_cells": "leukocytes",
        }
        self.path("populations.yaml").write_text(
            yaml.safe_dump({k: {"parent": v, "flow": "x"} for k, v in entries.items()})
        )
        self.gates = {
            "live": {},
            "leukocytes": {"phenotype": "CD45+"},
            "T_cells": {"phenotype": "CD3+ CD19-"},
            "B_cells": {"phenotype": "CD3- CD19+"},
        }

    def path(self, name):
        return self.folder / name

    def prepare(self, name, events, beads_added, skip=()):
        """Prepare a sample; return its events."""
        fcs = self.write_fcs(f"{name}.fcs", events, CHANNELS)
        if not self.path("transforms.tsv").exists():
            tables = self.path("panel.tsv"), "conventional", None, None, [Compensation()]
            out = self.path("transforms.tsv"), self.path("transforms.xml")
            estimate_transforms([fcs], *tables, *out)
        meta = {"sample_id": name, "patient_id": "P1", "tissue": "whole_blood"}
        prepare_flow_sample(
            *(fcs, self.path("panel.tsv"), self.path("transforms.tsv")),
            *("conventional", Compensation(), skip, meta | {"beads_added": beads_added}),
            self.path(f"{name}.arrow"),
            *(self.path(f"{name}.{table}.tsv") for table in ("ledger", "rep", "warn", "sanity")),
        )
        return read_events(self.path(f"{name}.arrow"))

    def count(self, *names):
        """Gate samples; return counts by sample and population."""
        fixed = {m: {"method": "fixed", "value": 0.5} for m in ("CD45", "CD3", "CD19")}
        gating = self.path("gating.yaml")
        gating.write_text(yaml.safe_dump({"thresholds": fixed, "gates": self.gates}))
        settled = self.path("thresholds.tsv")
        write_rows(settled, ("sample_id", "threshold", "population", "value"), ())
        gate_patient(
            [self.path(f"{name}.arrow") for name in names],
            *(gating, settled, self.path("populations.yaml"), self.path("panel.tsv")),
            self.path("transforms.tsv"),
            *(self.path(f"gates.{table}") for table in ("counts", "expression", "modes")),
            *(self.path(f"gates.{table}") for table in ("shifts", "unknown", "membership")),
        )
        rows = read_rows(self.path("gates.counts"))
        return {(row["sample_id"], row["population"]): row["count"] for row in rows}

    def gather(self, *samples):
        """Join counts with a sheet; return the long table and what its cells per µl rest on."""
        about = {"patient_id": "P1", "treatment": "x", "modality": "flow", "tissue": "whole_blood"}
        rows = [{**about, **sample} for sample in samples]
        columns = tuple(dict.fromkeys(key for row in rows for key in row))
        write_rows(self.path("samples.tsv"), columns, rows)
        gather_populations(
            *(self.path("samples.tsv"), self.path("populations.yaml")),
            {"gate": self.path("gates.counts")},
            [self.path("gates.expression")],
            *(self.path(name) for name in ("counts.tsv", "expression.tsv", "scale.tsv")),
        )
        counts = read_rows(self.path("counts.tsv"))
        scale = read_rows(self.path("scale.tsv"))
        return (
            {(row["sample_id"], row["population"]): row for row in counts},
            {row["sample_id"]: row for row in scale},
        )


@pytest.fixture
def laboratory(tmp_path, write_fcs):
    return Laboratory(tmp_path, write_fcs)


def sheet(sample_id, visit, **more):
    tube = {"beads_added": ADDED, "blood_volume_ul": VOLUME}
    return {"sample_id": sample_id, "visit": visit, "unit": "P1", "level": visit, **tube, **more}


def test_from_an_fcs_file_to_cells_per_microlitre(laboratory):
    """Twice as many beads at month 4 halve the cells per µl, be their percentages the same."""
    laboratory.prepare(BASELINE, made(1), str(ADDED))
    laboratory.prepare(MONTH_4, made(2, 2 * BEADS), str(ADDED))
    counted = laboratory.count(BASELINE, MONTH_4)
    for name, beads in ((BASELINE, BEADS), (MONTH_4, 2 * BEADS)):
        assert int(counted[name, "counting_beads"]) == pytest.approx(beads, rel=0.005)
        assert int(counted[name, "live"]) == pytest.approx(CELLS, rel=0.005)
    rows, scale = laboratory.gather(
        sheet(BASELINE, "baseline", leukocytes_per_ul=7000), sheet(MONTH_4, "month_4")
    )
    assert not any("bead" in population for _, population in rows)
    true = T_CELLS / BEADS * ADDED / VOLUME
    for name, share in ((BASELINE, 1), (MONTH_4, 0.5)):
        found = float(rows[name, "T_cells"]["cells_per_ul"])
        assert found == pytest.approx(share * true, rel=0.01)
        assert (scale[name]["scaled_by"], scale[name]["status"]) == ("beads", "measured")
    # The analyser's count is compared, not used.
    whole = CELLS / BEADS * ADDED / VOLUME
    assert float(scale[BASELINE]["ratio"]) == pytest.approx(7000 / whole, rel=0.02)
    assert scale[BASELINE]["note"].startswith("the analyser counted 3.5")
    assert scale[MONTH_4]["ratio"] == scale[MONTH_4]["note"] == ""


def test_beads_are_no_loss_and_no_dead_cells(laboratory):
    with_beads = laboratory.prepare(BASELINE, made(1), str(ADDED))
    assert "bead_clump,counting_bead,doublet" in with_beads.meta["flag_steps"]
    losses = read_losses(laboratory.path(f"{BASELINE}.ledger.tsv"))[BASELINE]
    assert losses.events == pytest.approx(CELLS + DEAD, abs=5)
    assert losses.steps["dead"].flagged == pytest.approx(DEAD, abs=5)
    assert not {"counting_bead", "bead_clump"} & set(losses.steps)


def test_without_beads_nothing_is_looked_for(laboratory):
    """Cells that happen to look like beads stay where they were."""
    plain = laboratory.prepare(BASELINE, made(1), "")
    assert "bead" not in plain.meta["flag_steps"]
    assert not find_beads(plain).any()
    assert (BASELINE, "counting_beads") not in laboratory.count(BASELINE)
    rows, scale = laboratory.gather(
        sheet(BASELINE, "baseline", beads_added="", blood_volume_ul="", leukocytes_per_ul=7000)
    )
    assert float(rows[BASELINE, "leukocytes"]["cells_per_ul"]) == 7000
    assert scale[BASELINE]["scaled_by"] == "blood_count"


def test_beads_that_were_added_and_not_found(laboratory):
    """No count of the analyser steps in: the other visit is counted by beads."""
    laboratory.prepare(BASELINE, made(1, beads=0), str(ADDED))
    assert laboratory.count(BASELINE)[BASELINE, "counting_beads"] == "0"
    rows, scale = laboratory.gather(sheet(BASELINE, "baseline", leukocytes_per_ul=7000))
    assert {row["cells_per_ul"] for row in rows.values()} == {""}
    assert scale[BASELINE]["status"] == "not_measured"
    assert scale[BASELINE]["note"].startswith("no counting beads were found")


def test_a_gate_of_the_strategy_finds_beads_that_quality_steps_leave(laboratory):
    skip = ("counting_bead", "bead_clump", "doublet", "dead")
    laboratory.prepare(BASELINE, made(1), str(ADDED), skip)
    before = laboratory.count(BASELINE)
    assert before[BASELINE, "counting_beads"] == "0"
    laboratory.gates["counting_beads"] = {"rectangle": {"SSC-A": [90_000, 180_000]}}
    after = laboratory.count(BASELINE)
    assert int(after[BASELINE, "counting_beads"]) == BEADS
    assert int(before[BASELINE, "live"]) - int(after[BASELINE, "live"]) == BEADS


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ({"phenotype": "CD45+"}, "must be a rectangle, a polygon or an ellipse and nothing else"),
        ({}, "must be a rectangle"),
        ({"rectangle": {"CD45": [0.5, None]}, "under": "live"}, "and nothing else"),
        ({"rectangle": {"CD9": [0.5, None]}}, "needs CD9, which the panel lacks"),
    ],
)
def test_a_gate_that_cannot_find_beads(laboratory, gate, expected):
    laboratory.prepare(BASELINE, made(1), str(ADDED))
    laboratory.gates["counting_beads"] = gate
    with pytest.raises(GatingError, match=f'gate "counting_beads" .*{expected}'):
        laboratory.count(BASELINE)


def sample(flags, steps="nonfinite,margin,bead_clump,counting_bead,doublet,dead,flow_rate,time"):
    """Events that the steps named have set aside, "" for those that passed."""
    named = steps.split(",")
    quality = np.array([named.index(flag) + 1 if flag else 0 for flag in flags], dtype=np.uint8)
    return Events({}, quality, {"flag_steps": steps, "beads_added": "10"})


def test_beads_lose_the_stretches_that_cells_lose():
    flags = ["", "counting_bead", "", "time", "counting_bead", "time", "flow_rate"]
    flags += ["counting_bead", "margin", "dead", ""]
    steady = acquired_steadily(sample(flags))
    assert steady.tolist() == [*[True] * 3, *[False] * 6, True, True]
    assert np.flatnonzero(find_beads(sample(flags))).tolist() == [1]
    by_hand = np.array([flag in ("dead", "margin") for flag in flags])
    assert np.flatnonzero(find_beads(sample(flags), by_hand)).tolist() == [9]


def test_beads_alone_are_counted_all():
    assert find_beads(sample(["counting_bead"] * 3)).all()
