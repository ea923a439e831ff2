import json

import numpy as np
import pytest

from biocross.errors import FcsError
from biocross.flow.events import read_events
from biocross.flow.prepare import prepare_flow_sample
from biocross.flow.signals import Compensation
from biocross.flow.spillover import Spillover
from biocross.flow.transform_choice import estimate_transforms
from biocross.flow.transform_table import load_transforms
from biocross.flow.transforms import (
    Transform,
    apply_transform,
    logicle_decades,
    logicle_width,
    negative_reference,
)
from biocross.tables import read_rows

CHANNELS = ("Time", "FSC-A", "FSC-H", "SSC-A", "PE-A", "APC-A", "BV-A")
PANEL = (
    "FSC-A\tFSC-A\tscatter",
    "FSC-H\tFSC-H\tscatter",
    "SSC-A\tSSC-A\tscatter",
    "APC-A\tCD4\tlineage",
    "PE-A\tCD3\tlineage",
    "BV-A\tHLA-DR\tunused",
    "Time\tTime\ttime",
)
SPILLOVER = np.array([[1, 0.2, 0.05], [0.1, 1, 0], [0, 0.3, 1]])
SPILL = "3,PE-A,APC-A,BV-A," + ",".join(str(value) for value in SPILLOVER.ravel())
META = {"sample_id": "S1", "patient_id": "P1", "tissue": "pbmc"}


@pytest.fixture
def random():
    return np.random.default_rng(5)


def cells(random, number, spread=60.0):
    """Single cells: true signals in PE, APC and BV, half of them positive, and what is seen."""
    height = random.normal(60_000, 8_000, number).clip(20_000)
    area = height * random.normal(1.1, 0.02, number)
    side = random.normal(30_000, 3_000, number)
    positive = random.random((number, 3)) < 0.5
    true = np.where(positive, 20_000, 0) + random.normal(0, spread, (number, 3))
    time = np.arange(number)
    return np.column_stack([time, area, height, side, true @ SPILLOVER]).astype(np.float32), true


@pytest.fixture
def lab(tmp_path, write_fcs):
    """The two steps of a sample, with their files in one folder."""

    class Lab:
        panel = tmp_path / "panel.tsv"
        transforms = tmp_path / "transforms.tsv"
        gatingml = tmp_path / "transforms.xml"
        events = tmp_path / "S1.arrow"
        ledger = tmp_path / "S1.ledger.tsv"
        repairs = tmp_path / "S1.repairs.tsv"
        warnings = tmp_path / "S1.warnings.tsv"
        sanity = tmp_path / "S1.sanity.tsv"
        compensation = Compensation()

        def write_panel(self, *rows):
            header = "channel\tmarker\tkind\ttransform\tcofactor\taliases"
            self.panel.write_text("\n".join([header, *rows]) + "\n")

        def fcs(self, name, events, channels=CHANNELS, **keywords):
            return write_fcs(name, events, channels, **{"SPILL": SPILL, **keywords})

        def estimate(self, *paths, cytometry="conventional", transform=None, cofactor=None):
            estimate_transforms(
                paths,
                self.panel,
                cytometry,
                transform,
                cofactor,
                [self.compensation for _ in paths],
                self.transforms,
                self.gatingml,
            )
            return {row["marker"]: row for row in read_rows(self.transforms)}

        def prepare(self, path, cytometry="conventional", skip=()):
            prepare_flow_sample(
                path,
                self.panel,
                self.transforms,
                cytometry,
                self.compensation,
                skip,
                META,
                self.events,
                self.ledger,
                self.repairs,
                self.warnings,
                self.sanity,
            )
            return read_events(self.events), read_rows(self.ledger)

    lab = Lab()
    lab.write_panel(*PANEL)
    return lab


def test_events_are_compensated_then_transformed(lab, random):
    seen, true = cells(random, 5000)
    path = lab.fcs("a.fcs", seen)
    lab.estimate(path)
    events, _ = lab.prepare(path)
    transforms = load_transforms(lab.transforms)
    assert list(events.values) == ["FSC-A", "FSC-H", "SSC-A", "CD4", "CD3", "Time"]
    for marker, column in (("CD3", 0), ("CD4", 1)):
        expected = apply_transform(true[:, column].astype(np.float32), transforms[marker])
        np.testing.assert_allclose(events.values[marker], expected, atol=1e-4)
    for marker, column in (("Time", 0), ("FSC-A", 1), ("FSC-H", 2), ("SSC-A", 3)):
        np.testing.assert_array_equal(events.values[marker], seen[:, column])
    steps = "nonfinite,margin,doublet,dead,flow_rate,time"
    channels, spillover = (json.loads(events.meta.pop(key)) for key in ("channels", "spillover"))
    assert events.meta == {**META, "flag_steps": steps}
    assert channels["CD4"] == "APC-A"
    assert spillover == [["PE-A", "APC-A", "BV-A"], SPILLOVER.tolist()]


def test_transforms_of_the_cohort(lab, random):
    """One width per channel: from the median over samples of the negatives' 5th percentile."""
    samples = [cells(random, 3000, spread) for spread in (30, 60, 400)]
    paths = [
        lab.fcs(f"{i}.fcs", seen, P5R=str(2**top))
        for i, ((seen, _), top) in enumerate(zip(samples, (18, 20, 18), strict=True))
    ]
    rows = lab.estimate(*paths)
    references = [negative_reference(true[:, 0].astype(np.float32)) for _, true in samples]
    width = logicle_width(references, 2**20)
    assert rows["CD3"]["transform"] == "logicle"
    assert rows["CD3"]["channel"] == "PE-A"
    assert float(rows["CD3"]["top"]) == 2**20
    assert float(rows["CD3"]["decades"]) == pytest.approx(logicle_decades(2**20))
    assert float(rows["CD3"]["width"]) == pytest.approx(width, rel=1e-4)
    assert width == logicle_width(references[1:2], 2**20)
    assert rows["CD3"]["n_samples"] == "3"
    assert float(rows["CD4"]["top"]) == 2**18
    assert rows["FSC-A"]["transform"] == rows["Time"]["transform"] == "linear"
    assert "HLA-DR" not in rows


def test_order_of_samples_does_not_change_the_transforms(lab, random):
    paths = [lab.fcs(f"{i}.fcs", cells(random, 1000, 30.0 * (i + 1))[0]) for i in range(3)]
    first = lab.estimate(*paths)
    assert lab.estimate(*reversed(paths)) == first


def test_too_few_negatives_take_the_median_width_of_the_panel(lab, random):
    seen, true = cells(random, 3000)
    true[:, 0] = np.abs(true[:, 0]) + 1
    seen[:, 4:] = true @ SPILLOVER
    rows = lab.estimate(lab.fcs("a.fcs", seen))
    assert rows["CD3"]["width"] == rows["CD4"]["width"]
    assert rows["CD3"]["n_samples"] == "0"
    assert rows["CD3"]["note"].startswith("too few negative values")
    assert rows["CD4"]["note"] == ""


def test_no_negatives_at_all(lab, random):
    seen, true = cells(random, 3000)
    seen[:, 4:] = (np.abs(true) + 1) @ SPILLOVER
    rows = lab.estimate(lab.fcs("a.fcs", seen))
    assert rows["CD3"]["width"] == rows["CD4"]["width"] == "0.5"


def test_mass_cytometry(lab, random):
    seen, _ = cells(random, 1000)
    path = lab.fcs("a.fcs", seen)
    rows = lab.estimate(path, cytometry="mass")
    assert (rows["CD3"]["transform"], rows["CD3"]["cofactor"]) == ("arcsinh", "5")
    assert rows["CD3"]["width"] == ""
    assert rows["FSC-A"]["transform"] == "linear"
    events, _ = lab.prepare(path, cytometry="mass")
    np.testing.assert_allclose(events.values["CD3"], np.arcsinh(seen[:, 4] / 5), rtol=1e-5)


def test_spectral_files_are_unmixed_already(lab, random):
    seen, _ = cells(random, 1000)
    path = lab.fcs("a.fcs", seen)
    rows = lab.estimate(path, cytometry="spectral", transform="arcsinh")
    assert rows["CD3"]["cofactor"] == "2000"
    events, _ = lab.prepare(path, cytometry="spectral")
    np.testing.assert_allclose(events.values["CD4"], np.arcsinh(seen[:, 5] / 2000), rtol=1e-4)


def test_panel_goes_before_config_and_config_before_default(lab, random):
    lab.write_panel(
        "PE-A\tCD3\tlineage\tarcsinh\t77",
        "APC-A\tCD4\tlineage",
        "BV-A\tHLA-DR\tstate\tlinear",
        "FSC-A\tFSC-A\tscatter",
    )
    path = lab.fcs("a.fcs", cells(random, 1000)[0])
    rows = lab.estimate(path, transform="arcsinh", cofactor=120.0)
    found = {marker: (row["transform"], row["cofactor"]) for marker, row in rows.items()}
    assert found == {
        "CD3": ("arcsinh", "77"),
        "CD4": ("arcsinh", "120"),
        "HLA-DR": ("linear", ""),
        "FSC-A": ("linear", ""),
    }
    rows = lab.estimate(path)
    assert rows["CD3"]["transform"] == "arcsinh"
    assert rows["CD4"]["transform"] == "logicle"


def test_load_transforms_gives_back_what_was_chosen(lab, random):
    rows = lab.estimate(lab.fcs("a.fcs", cells(random, 3000)[0]))
    transforms = load_transforms(lab.transforms)
    cd3 = transforms["CD3"]
    assert (cd3.kind, cd3.top, cd3.decades) == ("logicle", 262144.0, 4.5)
    assert cd3.width == float(rows["CD3"]["width"])
    assert transforms["FSC-A"].kind == "linear"
    assert set(transforms) == set(rows)
    assert isinstance(cd3, Transform)


def test_aliases_of_a_channel(lab, random):
    seen, _ = cells(random, 500)
    lab.write_panel("PE-A\tCD3\tlineage\t\t\tYG586-A, PE(586)-A", "FSC-A\tFSC-A\tscatter")
    renamed = tuple(name.replace("PE-A", "PE(586)-A") for name in CHANNELS)
    one = lab.fcs("one.fcs", seen)
    other = lab.fcs("other.fcs", seen, renamed, SPILL=SPILL.replace("PE-A", "PE(586)-A"))
    lab.estimate(one, other)
    np.testing.assert_array_equal(
        lab.prepare(one)[0].values["CD3"], lab.prepare(other)[0].values["CD3"]
    )


def test_a_channel_that_no_file_has(lab, random):
    renamed = tuple(name.replace("APC-A", "APC-H") for name in CHANNELS)
    path = lab.fcs("a.fcs", cells(random, 100)[0], renamed, SPILL="")
    with pytest.raises(FcsError, match=r'channel "APC-A" \(CD4\) is in none of the FCS files'):
        lab.estimate(path)
    assert not lab.transforms.exists()


def test_a_channel_that_one_file_lacks_costs_its_marker_there(lab, random):
    seen, _ = cells(random, 3000)
    whole = lab.fcs("a.fcs", seen)
    renamed = tuple(name.replace("APC-A", "APC-H") for name in CHANNELS)
    lacking = lab.fcs("b.fcs", seen, renamed, SPILL="")
    assert set(lab.estimate(whole, lacking)) == {"FSC-A", "FSC-H", "SSC-A", "CD4", "CD3", "Time"}
    events, ledger = lab.prepare(lacking)
    assert set(events.values) == {"FSC-A", "FSC-H", "SSC-A", "CD3", "Time"}
    assert ledger[0]["events_before"] == "3000"
    (row,) = read_rows(lab.warnings)
    assert (row["check"], row["marker"]) == ("missing_channel", "CD4")
    assert row["message"] == 'no channel "APC-A" in the file; did you mean "APC-H"?'


def test_the_cohort_goes_on_without_a_file_that_cannot_be_read(lab, random):
    sound = lab.fcs("a.fcs", cells(random, 3000)[0])
    alone = lab.estimate(sound)
    broken = sound.with_name("b.fcs")
    broken.write_bytes(sound.read_bytes()[:-5000])
    empty = lab.fcs("c.fcs", np.empty((0, 7)))
    assert {name: row["top"] for name, row in lab.estimate(broken, sound, empty).items()} == {
        name: row["top"] for name, row in alone.items()
    }
    for path, reason in ((broken, "truncated"), (empty, "has no events")):
        events, ledger = lab.prepare(path)
        assert reason in events.meta["excluded"]
        assert str(path) not in events.meta["excluded"]
        assert events.quality.size == 0
        assert set(events.values) == {"FSC-A", "FSC-H", "SSC-A", "CD4", "CD3", "Time"}
        assert [(row["step"], row["events_before"]) for row in ledger] == [("read", "0")]
        assert ledger[0]["note"] == f"excluded: {events.meta['excluded']}"
        assert read_rows(lab.repairs) == read_rows(lab.sanity) == []


def test_repairs_are_recorded(lab, random):
    names = (*CHANNELS[:-1], "APC-A")
    path = lab.fcs("a.fcs", cells(random, 300)[0], names, SPILL="")
    lab.write_panel("PE-A\tCD3\tlineage")
    lab.estimate(path)
    _, ledger = lab.prepare(path)
    (repair,) = read_rows(lab.repairs)
    assert (repair["sample_id"], repair["file"], repair["repair"]) == (
        "S1",
        "a.fcs",
        "duplicate_channel",
    )
    assert "APC-A_2" in repair["note"]
    assert repair["note"] in ledger[0]["note"]


def test_values_at_the_top_of_the_scale_are_kept_and_named(lab, random):
    seen, _ = cells(random, 2000)
    seen[:30, 4] = 262143
    seen[:15, 5] = 262143
    path = lab.fcs("a.fcs", seen)
    lab.estimate(path)
    events, _ = lab.prepare(path)
    (row,) = read_rows(lab.warnings)
    assert (row["check"], row["marker"], float(row["value"])) == ("off_scale", "CD3", 0.015)
    assert "the top of the scale of PE-A; kept" in row["message"]
    assert set(events.quality[:30]) <= {0, 3}


def test_a_second_compensation_is_suspected(lab, random):
    seen, true = cells(random, 5000)
    single = np.where(true > 5000, 1, 0).sum(axis=1) == 1
    done = seen[single]
    done[:, 4:] = true[single]
    path = lab.fcs("a.fcs", done)
    lab.estimate(path)
    lab.prepare(path)
    (row,) = read_rows(lab.warnings)
    assert row["check"] == "compensation"
    assert "were the values compensated before" in row["message"]
    lab.prepare(lab.fcs("b.fcs", seen))
    assert read_rows(lab.warnings) == []


def test_another_matrix_and_no_matrix(lab, random):
    seen, true = cells(random, 2000)
    path = lab.fcs("a.fcs", seen, SPILL="3,PE-A,APC-A,BV-A,1,0,0,0,1,0,0,0,1")
    lab.write_panel("PE-A\tCD3\tlineage\tlinear")
    lab.estimate(path)
    lab.compensation = Compensation("none")
    np.testing.assert_array_equal(lab.prepare(path)[0].values["CD3"], seen[:, 4])
    lab.compensation = Compensation("table", Spillover(("PE-A", "APC-A", "BV-A"), SPILLOVER))
    np.testing.assert_allclose(lab.prepare(path)[0].values["CD3"], true[:, 0], atol=0.05)


def test_a_step_can_be_left_out(lab, random):
    seen, _ = cells(random, 500)
    seen[:50, 1] = -1
    path = lab.fcs("a.fcs", seen)
    lab.estimate(path)
    events, ledger = lab.prepare(path, skip=("margin",))
    margin = next(row for row in ledger if row["step"] == "margin")
    assert (margin["flagged"], margin["note"]) == ("0", "left out, as configured")
    assert not (events.quality == 2).any()


def test_dead_cells_clogs_and_swapped_columns_are_seen(lab, random):
    """The panel calls a viability dye what lights up in dead cells; a clog dims all channels."""
    number = 20_000
    seen, _ = cells(random, number)
    seen[:, 0] = np.cumsum(random.exponential(0.01, number))
    dead = random.random(number) < 0.1
    seen[:, 4:] = random.normal(0, 60, (number, 3))
    seen[dead, 6] = random.normal(20_000, 3000, dead.sum())
    clog = slice(10_000, 12_000)
    seen[clog, 5] += 4000
    path = lab.fcs("a.fcs", seen, SPILL="", TIMESTEP="1")
    lab.write_panel(*PANEL[:5], "BV-A\tdye\tviability", "Time\tTime\ttime")
    lab.estimate(path)
    events, _ = lab.prepare(path)
    assert events.meta["time_unit"] == "s"
    step = {name: n for n, name in enumerate(events.meta["flag_steps"].split(","), 1)}
    passing = events.quality == 0
    assert (events.quality[dead] == step["dead"]).mean() > 0.95
    assert (events.quality[~dead] == step["dead"]).mean() < 0.01
    assert (events.quality[clog] == step["time"]).mean() > 0.6
    assert passing[~dead][:8000].mean() > 0.95


def test_integer_counts_of_mass_cytometry_are_randomised_the_same_way_each_time(lab, random):
    seen, _ = cells(random, 500)
    seen[:, 4:] = random.poisson(3, (500, 3))
    path = lab.fcs("a.fcs", seen)
    lab.estimate(path, cytometry="mass")
    events, _ = lab.prepare(path, cytometry="mass")
    back = np.sinh(events.values["CD3"].astype(np.float64)) * 5
    np.testing.assert_array_equal(np.ceil(back - 1e-4), seen[:, 4])
    assert len(set(events.values["CD3"])) > 400
    first = lab.events.read_bytes()
    lab.prepare(path, cytometry="mass")
    assert lab.events.read_bytes() == first


@pytest.mark.parametrize(
    ("spill", "sentence"),
    [
        ("2,PE-A,APC-A,1,1,1,1", "the spillover matrix is singular"),
        ("2,PE-A,FITC-A,1,0.2,0,1", 'names "FITC-A", which is no channel of the file'),
        ("2,PE-A,APC-A,1,0,0", "its spillover matrix cannot be parsed"),
    ],
)
def test_broken_spillover_names_the_file(lab, random, spill, sentence):
    path = lab.fcs("a.fcs", cells(random, 100)[0], SPILL=spill)
    with pytest.raises(FcsError, match=sentence) as caught:
        lab.estimate(path)
    assert f"{path}: " in str(caught.value)


def test_ledger_adds_up(lab, random):
    seen, _ = cells(random, 4000)
    seen[100:120, 1] *= -1
    seen[200:300, 1] *= 1.8
    seen[300:310, 5] = np.nan
    seen[105, 4] = np.inf
    path = lab.fcs("a.fcs", seen)
    lab.estimate(path)
    events, ledger = lab.prepare(path)
    assert [row["step"] for row in ledger[:4]] == ["read", "nonfinite", "margin", "doublet"]
    assert sum(int(row["flagged"]) for row in ledger) == (events.quality > 0).sum()
    assert (ledger[0]["events_before"], ledger[0]["flagged"]) == ("4000", "0")
    ledger = ledger[1:4]
    assert {row["sample_id"] for row in ledger} == {"S1"}
    flagged = [int(row["flagged"]) for row in ledger]
    before = [int(row["events_before"]) for row in ledger]
    assert flagged[:2] == [11, 19]
    assert 100 <= flagged[2] < 140
    assert before == [4000, 4000 - 11, 4000 - 11 - 19]
    for number, row in enumerate(ledger, 1):
        assert (events.quality == number).sum() == int(row["flagged"])
        assert float(row["share"]) == pytest.approx(int(row["flagged"]) / int(row["events_before"]))
        assert row["note"] == ""
    assert [row["flagged"] for row in read_rows(lab.ledger)[4:]] == ["0", "0", "0"]
    assert (events.quality == 0).sum() == 4000 - sum(flagged)
    assert set(events.quality[200:300]) == {3}
    assert events.quality[105] == 1


def test_no_event_is_removed(lab, random):
    seen, _ = cells(random, 500)
    seen[:50, 1] = 0
    path = lab.fcs("a.fcs", seen)
    lab.estimate(path)
    events, _ = lab.prepare(path)
    assert events.quality.shape == (500,)
    assert all(column.shape == (500,) for column in events.values.values())


def test_a_value_missing_outside_the_panel_is_flagged_where_it_spills(lab, random):
    """BV is unused here, but its spill reaches the others through the matrix."""
    seen, _ = cells(random, 500)
    seen[7, 6] = np.nan
    path = lab.fcs("a.fcs", seen)
    lab.estimate(path)
    events, ledger = lab.prepare(path)
    assert ledger[1]["flagged"] == "1"
    assert events.quality[7] == 1
    assert np.isfinite(events.values["CD4"][events.quality == 0]).all()


@pytest.mark.parametrize(
    ("absent", "notes"),
    [
        ("FSC-H", ["", "", "not_possible: no pair of area and height"]),
        ("FSC-A", ["", "not_possible: no FSC-A", "not_possible: no pair of area and height"]),
        ("SSC-A", ["", "", ""]),
    ],
)
def test_what_the_panel_cannot_do_is_said(lab, random, absent, notes):
    lab.write_panel(*(row for row in PANEL if not row.startswith(absent)))
    path = lab.fcs("a.fcs", cells(random, 500)[0])
    lab.estimate(path)
    _, ledger = lab.prepare(path)
    for row, note in zip(ledger[1:4], notes, strict=True):
        assert row["note"].startswith(note)
        assert bool(row["note"]) == bool(note)
        assert row["flagged"] == "0" or not note
    assert ledger[4]["note"] == "not_possible: no viability dye in the panel"


def test_the_same_file_twice_gives_the_same_bytes(lab, random):
    path = lab.fcs("a.fcs", cells(random, 2000)[0])
    lab.estimate(path)
    lab.prepare(path)
    first = lab.events.read_bytes(), lab.ledger.read_bytes(), lab.transforms.read_bytes()
    lab.estimate(path)
    lab.prepare(path)
    assert (lab.events.read_bytes(), lab.ledger.read_bytes(), lab.transforms.read_bytes()) == first
