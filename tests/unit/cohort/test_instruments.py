import hashlib
import shutil
import time
from array import array

import flowio
import pytest

from biocross.cohort.design import Sample
from biocross.cohort.instruments import (
    CHANNEL_COLUMNS,
    FILE_COLUMNS,
    compare_headers,
    describe_files,
)
from biocross.cohort.panel import Channel
from biocross.tables import read_rows

LABELS = {"FSC-A": "", "PE-A": "CD3 PE", "BV421-A": "CRTH2", "Time": ""}
PANEL = [
    Channel("FSC-A", "FSC-A", "scatter"),
    Channel("PE-A", "CD3", "lineage"),
    Channel("BV421-A", "CRTH2", "lineage"),
    Channel("Time", "Time", "time"),
]


@pytest.fixture
def cohort(tmp_path):
    return Cohort(tmp_path)


class Cohort:
    """Four files without faults, of two patients in two batches; and what is said of them."""

    def __init__(self, folder):
        self.folder = folder
        self.samples = []
        for patient in ("P1", "P2"):
            for visit in ("baseline", "month_4"):
                name = f"{patient}_{visit}"
                batch = "lot_1" if patient == "P1" else "lot_2"
                self.samples.append(
                    Sample(name, patient, visit, "flow", f"{name}.fcs", batch, "pbmc")
                )
                self.write(name)

    def write(self, name, labels=LABELS, events=2000, **keywords):
        """Write a sample's file, with other labels, events or keywords than the rest."""
        keywords = {"CYT": "Fortessa", **keywords}
        names, markers = list(labels), list(labels.values())
        values = array("f", bytes(4 * events * len(names)))
        with (self.folder / f"{name}.fcs").open("wb") as out:
            flowio.create_fcs(out, values, names, opt_channel_names=markers, metadata_dict=keywords)

    def replace(self, name, old, new):
        """Change some bytes of a sample's file to as many others."""
        path = self.folder / f"{name}.fcs"
        assert len(old) == len(new)
        assert path.read_bytes().count(old) == 1
        path.write_bytes(path.read_bytes().replace(old, new))

    def compare(self, panel=PANEL):
        return compare_headers(self.samples, panel, self.folder)

    def problem(self, panel=PANEL):
        """Return the only problem."""
        (problem,) = self.compare(panel)[0]
        return problem


def renamed(old, new, label=None):
    """Return the labels with a channel of another name, and perhaps of another label."""
    pairs = LABELS.items()
    return {new if n == old else n: (label or m) if n == old else m for n, m in pairs}


def test_a_cohort_without_faults(cohort):
    problems, files, channels = cohort.compare()
    assert problems == []
    assert [row["sample_id"] for row in files] == [s.sample_id for s in cohort.samples]
    assert files[2] == {
        **{"sample_id": "P2_baseline", "patient_id": "P2", "visit": "baseline", "batch": "lot_2"},
        **{"file": "P2_baseline.fcs", "bytes": (cohort.folder / "P2_baseline.fcs").stat().st_size},
        **{"fcs_version": "3.1", "events": 2000, "channels": 4, "cytometer": "Fortessa"},
        **{"date": "", "datatype": "F", "fluorochromes": "PE, BV421", "compensation": False},
    }
    assert [(row["marker"], row["batch"]) for row in channels] == [
        (channel.marker, batch) for channel in PANEL for batch in ("lot_1", "lot_2")
    ]
    assert {(row["files_with"], row["files_without"]) for row in channels} == {(2, 0)}


def test_without_a_panel_or_without_files(cohort):
    problems, files, channels = cohort.compare(panel=())
    assert (problems, channels, len(files)) == ([], [], 4)
    assert compare_headers([], PANEL, cohort.folder) == ([], [], [])


def test_other_modalities_are_left_alone(cohort):
    cohort.samples.append(Sample("rna", "P1", "baseline", "rna", "counts.h5"))
    problems, files, _ = cohort.compare()
    assert (problems, len(files)) == ([], 4)


def test_a_channel_that_one_file_lacks(cohort):
    cohort.write("P1_month_4", renamed("BV421-A", "BV-421-A", "x"))
    problem = cohort.problem()
    assert problem[:3] == ("warning", "P1_month_4.fcs", "P1_month_4")
    assert str(problem) == (
        'P1_month_4.fcs: has no channel "BV421-A", where panel.tsv expects CRTH2; '
        'did you mean "BV-421-A"?; populations gated by CRTH2 get no count in it'
    )


def test_the_marker_under_another_name_is_suggested(cohort):
    cohort.write("P1_month_4", renamed("BV421-A", "V450-A", "CD294 V450"))
    message = cohort.problem().message
    assert 'its channel "V450-A" is labelled "CD294 V450"' in message
    assert "aliases" in message


def test_an_alias_stands_for_the_channel(cohort):
    cohort.write("P2_baseline", renamed("BV421-A", "V450-A"))
    panel = [c._replace(aliases=("Horizon-A", "V450-A")) if c == PANEL[2] else c for c in PANEL]
    problems, _, channels = cohort.compare(panel)
    assert problems == []
    row = next(r for r in channels if (r["marker"], r["batch"]) == ("CRTH2", "lot_2"))
    assert (row["files_with"], row["names"]) == (2, "V450-A, BV421-A")


def test_the_matrix_of_markers_and_batches_counts_what_is_missing(cohort):
    cohort.write("P2_baseline", renamed("BV421-A", "V450-A"), P2R="1024")
    _, _, channels = cohort.compare()
    by_key = {(row["marker"], row["batch"]): row for row in channels}
    crth2, cd3 = by_key["CRTH2", "lot_2"], by_key["CD3", "lot_2"]
    assert (crth2["files_with"], crth2["files_without"]) == (1, 1)
    assert by_key["CRTH2", "lot_1"]["files_without"] == 0
    assert (cd3["range_min"], cd3["range_max"]) == (1024, 262144)
    assert (cd3["names"], cd3["labels"]) == ("PE-A", "CD3 PE")


def test_a_channel_in_no_file_is_one_problem(cohort):
    problem = cohort.problem([*PANEL, Channel("APC-A", "CD14", "lineage")])
    assert problem[:3] == ("error", "", "")
    assert str(problem).startswith('panel.tsv: channel "APC-A" (CD14) is in none of the 4 FCS')


def test_a_file_of_another_panel_is_one_problem(cohort):
    cohort.write("P1_baseline", {"FL1-H": "", "FL2-H": "", "Width": ""})
    problem = cohort.problem()
    assert problem[:2] == ("error", "P1_baseline.fcs")
    assert "lacks 4 of the 4 channels of panel.tsv" in problem.message
    assert "FL1-H, FL2-H, Width" in problem.message


@pytest.mark.parametrize(
    ("label", "contradicts"),
    [
        ("CD3 PE", False),
        ("cd3", False),
        ("CD-3", False),
        ("CD3e", False),
        ("PE", False),
        ("", False),
        ("anti-human something", False),
        ("CD14/CD19 PE", False),
        ("CD19", True),
        ("CD19 PE", True),
        ("CD38", True),
        ("CD294", True),
        ("HLA-DR PE", True),
    ],
)
def test_labels_that_contradict_the_panel(cohort, label, contradicts):
    cohort.write("P1_baseline", {**LABELS, "PE-A": label})
    problems = cohort.compare()[0]
    assert len(problems) == contradicts
    for problem in problems:
        assert problem[:3] == ("warning", "P1_baseline.fcs", "P1_baseline")
        assert f'labels channel "PE-A" as "{label}", where panel.tsv expects CD3' in problem.message


@pytest.mark.parametrize("label", ["CD294", "PTGDR2", "crth-2 BV421"])
def test_synonyms_do_not_contradict(cohort, label):
    cohort.write("P1_baseline", {**LABELS, "BV421-A": label})
    assert cohort.compare()[0] == []


def test_swapped_labels_of_unknown_markers_contradict(cohort):
    panel = [*PANEL[:1], Channel("PE-A", "MyA", "lineage"), Channel("BV421-A", "MyB", "state")]
    for sample in cohort.samples:
        cohort.write(sample.sample_id, {**LABELS, "PE-A": "MyA", "BV421-A": "MyB"})
    assert cohort.compare(panel)[0] == []
    cohort.write("P1_baseline", {**LABELS, "PE-A": "MyB PE", "BV421-A": "MyA"})
    assert [p.severity for p in cohort.compare(panel)[0]] == ["warning"] * 2


def test_a_marker_that_is_unknown_may_have_a_known_name(cohort):
    panel = [*PANEL[:1], Channel("PE-A", "MyA", "lineage"), *PANEL[2:]]
    assert cohort.compare(panel)[0] == []


def test_scatter_is_suggested_by_its_name(cohort):
    cohort.write("P1_baseline", renamed("FSC-A", "FSC-H", "FSC-A"))
    assert 'did you mean "FSC-H"?' in cohort.problem().message


def test_fluorochromes_of_the_label_where_the_channel_has_none(cohort):
    cohort.write("P1_baseline", {**LABELS, "B530-A": "CD8 FITC"})
    assert cohort.compare()[1][0]["fluorochromes"] == "PE, BV421, FITC"


def test_ranges_of_mass_channels_are_not_compared(cohort):
    panel = [Channel("Nd142Di", "CD19", "lineage")]
    for number, sample in enumerate(cohort.samples):
        cohort.write(sample.sample_id, {"Nd142Di": "CD19"}, P1R=str(1000 + number))
    assert cohort.compare(panel)[0] == []


def test_a_missing_range_does_not_hide_the_others(cohort):
    cohort.write("P1_baseline", P2R="1024")
    cohort.replace("P1_month_4", b"/$P2R/", b"/$P2X/")
    row = next(r for r in cohort.compare()[2] if (r["marker"], r["batch"]) == ("CD3", "lot_1"))
    assert (row["files_with"], row["range_min"], row["range_max"]) == (2, 1024, 1024)


@pytest.mark.parametrize(
    ("events", "severity", "message"),
    [
        (0, "warning", "sample P2_month_4 is left out: its file has no events; remove its row"),
        (1, "warning", "has only 1 event; "),
        (999, "warning", "has only 999 events; "),
    ],
)
def test_no_and_few_events(cohort, events, severity, message):
    cohort.write("P2_month_4", events=events)
    problem = cohort.problem()
    assert problem[:3] == (severity, "P2_month_4.fcs", "P2_month_4")
    assert problem.message.startswith(message)


def test_a_thousand_events_are_enough(cohort):
    cohort.write("P2_month_4", events=1000)
    assert cohort.compare()[0] == []


def test_histograms_and_several_data_sets(cohort):
    cohort.replace("P1_baseline", b"$MODE/L/", b"$MODE/C/")
    assert cohort.problem().severity == "warning"
    assert "is left out: its file holds histograms (mode C)" in cohort.problem().message
    cohort.replace("P1_baseline", b"$MODE/C/", b"$MODE/L/")
    cohort.replace("P1_baseline", b"$NEXTDATA/0/", b"$NEXTDATA/9/")
    problem = cohort.problem()
    assert (problem.severity, problem.sample) == ("warning", "P1_baseline")
    assert "several data sets" in problem.message


def test_a_truncated_file(cohort):
    path = cohort.folder / "P1_baseline.fcs"
    path.write_bytes(path.read_bytes()[:-9000])
    problem = cohort.problem()
    assert (problem.severity, problem.file) == ("warning", "P1_baseline.fcs")
    assert "left out: its file is truncated: too short for its 2000 events" in problem.message


def test_a_broken_spillover_matrix(cohort):
    cohort.write("P1_baseline", SPILLOVER="2,PE-A,BV421-A,1,0,0")
    assert cohort.problem().severity == "warning"
    assert (
        "is left out: its file has a spillover matrix that cannot be parsed"
        in cohort.problem().message
    )


def test_channels_of_the_same_name(cohort):
    cohort.write("P1_baseline", {**LABELS, "BV421-B": ""})
    cohort.replace("P1_baseline", b"/BV421-B/", b"/BV421-A/")
    problem = cohort.problem()
    assert (problem.severity, problem.sample) == ("warning", "P1_baseline")
    assert 'not the first named "BV421-A"; called BV421-A_2' in problem.message


def test_a_range_that_differs_in_one_file(cohort):
    cohort.write("P2_month_4", P2R="1024", P4R="77")
    problem = cohort.problem()
    assert problem.severity == "warning"
    assert '"PE-A" (CD3) ranges to 262144 in most files, but to 1024 in P2_month_4.fcs' in str(
        problem
    )


def test_ranges_without_any_order_are_one_problem(cohort):
    for number, sample in enumerate(cohort.samples, 1):
        cohort.write(sample.sample_id, P2R=str(1000 + number), P3R=str(2000 + number))
    assert "the range ($PnR) of PE-A, BV421-A differs from file to file" in str(cohort.problem())


def test_a_patient_on_two_cytometers(cohort):
    cohort.write("P1_month_4", CYT="Aurora")
    problem = cohort.problem()
    assert problem.severity == "warning"
    expected = 'patient "P1" was measured on more than one cytometer: Fortessa (P1_baseline.fcs), '
    assert str(problem).startswith(expected + "Aurora (P1_month_4.fcs)")


def test_visits_differ_in_date_but_a_visit_has_one(cohort):
    cohort.write("P1_baseline", DATE="07-MAY-2019")
    cohort.write("P1_month_4", DATE="09-SEP-2019")
    assert cohort.compare()[0] == []
    cohort.samples.append(cohort.samples[0]._replace(sample_id="stim", path="stim.fcs"))
    cohort.write("stim", DATE="2019-05-07")
    assert cohort.compare()[0] == []
    cohort.write("stim", DATE="08-MAY-2019")
    problem = cohort.problem()
    assert problem.severity == "warning"
    assert 'visit "baseline" of patient "P1" was measured on more than one day' in str(problem)
    assert "2019-05-07 (P1_baseline.fcs), 2019-05-08 (stim.fcs)" in str(problem)


def test_unreadable_files_are_named_and_the_others_compared(cohort):
    (cohort.folder / "P1_baseline.fcs").write_bytes(b"a photograph")
    (cohort.folder / "P2_baseline.fcs").unlink()
    cohort.write("P2_month_4", events=3)
    problems, files, _ = cohort.compare()
    assert [(p.severity, p.file, p.message[:20]) for p in problems] == [
        ("warning", "P1_baseline.fcs", "sample P1_baseline i"),
        ("error", "P2_baseline.fcs", "there is no such fil"),
        ("warning", "P2_month_4.fcs", "has only 3 events; r"),
    ]
    assert [row.get("bytes") for row in files[:1]] == [12]
    assert [row.get("events") for row in files] == [None, 2000, None, 3]
    assert "is left out: its file is not an FCS file" in problems[0].message
    assert str(cohort.folder) not in "".join(map(str, problems))


def test_tables_carry_checksums_and_no_names(cohort):
    names = {"OP": "Dr Operator", "SRC": "Jane Patient", "INST": "St Elsewhere", "EXP": "Smith"}
    cohort.write("P1_baseline", DATE="07-MAY-2019", SPILL="1,PE-A,1", **names)
    (cohort.folder / "P2_baseline.fcs").unlink()
    files, channels = cohort.folder / "files.tsv", cohort.folder / "channels.tsv"
    describe_files(cohort.samples, PANEL, cohort.folder, files, channels)
    rows = read_rows(files)
    assert tuple(rows[0]) == FILE_COLUMNS
    content = (cohort.folder / "P1_baseline.fcs").read_bytes()
    assert b"Jane Patient" in content
    assert rows[0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (rows[0]["date"], rows[0]["compensation"]) == ("2019-05-07", "yes")
    assert (rows[1]["compensation"], rows[2]["compensation"]) == ("no", "")
    assert (rows[2]["sha256"], rows[2]["file"]) == ("", "P2_baseline.fcs")
    assert tuple(read_rows(channels)[0]) == CHANNEL_COLUMNS
    written = files.read_text() + channels.read_text()
    assert not [name for name in names.values() if name in written]


@pytest.mark.data
def test_three_clashing_panels(test_data):
    files = sorted((test_data / "metacyto").glob("*.fcs"))
    samples = [Sample(p.stem, p.stem, "baseline", "flow", p.name, p.name[:2]) for p in files]
    panel = [Channel("PerCP-Cy5-5-A", "CD4", "lineage"), Channel("(Nd143)Dd", "CD4 mass", "state")]
    problems, _, channels = compare_headers(samples, panel, test_data / "metacyto")
    missing = [p for p in problems if "has no channel" in p.message]
    for channel in panel:
        with_it = sum(row["files_with"] for row in channels if row["channel"] == channel.channel)
        assert 0 < with_it < len(files)
        lacking = [p for p in missing if f'has no channel "{channel.channel}"' in p.message]
        assert len(lacking) == len(files) - with_it, channel


@pytest.mark.data
def test_five_hundred_headers_in_seconds(test_data, tmp_path):
    source = test_data / "fcs_oddities" / "fcs30_float_be_fortessa.fcs"
    samples = [
        Sample(str(i), f"P{i // 2}", str(i % 2), "flow", f"{i}.fcs", f"lot_{i % 5}")
        for i in range(500)
    ]
    for sample in samples:
        shutil.copy(source, tmp_path / sample.path)
    panel = [Channel("FSC-A", "FSC-A", "scatter"), Channel("nowhere", "CD3", "lineage")]
    started = time.process_time()
    problems, files, _ = compare_headers(samples, panel, tmp_path)
    assert time.process_time() - started < 5
    assert len(files) == 500
    assert len(problems) == 1


def test_files_without_a_matrix_beside_files_with_one(cohort):
    for sample in cohort.samples:
        cohort.write(sample.sample_id, SPILLOVER="2,PE-A,BV421-A,1,0.1,0,1")
    assert cohort.compare()[0] == []
    cohort.write("P2_month_4")
    message = str(cohort.problem())
    assert message.startswith(
        "1 of 4 FCS files hold no spillover matrix, the others do: P2_month_4.fcs"
    )
