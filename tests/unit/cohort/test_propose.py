import pytest
import yaml

from biocross.cohort.propose import clean_id, guess_names, order_levels
from biocross.cohort.propose_panel import guess_cytometry, propose_gating, propose_panel
from biocross.cohort.start import COPIED
from biocross.cohort.strategy import load_strategy
from biocross.cohort.vocabulary import load_vocabulary
from biocross.flow.headers import FcsHeader

PATIENTS = [f"P{i:02d}" for i in range(1, 9)]


def header(channels, *, cytometer="", keywords=None, spillover_channels=()):
    return FcsHeader(
        "3.1",
        100,
        tuple(channels),
        tuple(channels.values()),
        ranges=(1024.0,) * len(channels),
        bits=(32,) * len(channels),
        datatype="F",
        mode="L",
        cytometer=cytometer,
        date="",
        source="",
        sample_number="",
        file_name="",
        spillover_channels=spillover_channels,
        several_data_sets=False,
        keywords=keywords or {},
    )


@pytest.mark.parametrize(
    ("pattern", "visits"),
    [
        ("{p}_{v}", ["baseline", "month_4"]),
        ("{p}/{v}/Specimen_001_Tube_{n:03d}", ["V1", "V2", "V3"]),
        ("{v}/{p}", ["pre", "post"]),
        ("{p}{v}", ["V1", "V2"]),
        ("{p}{v}", ["pre", "post"]),
        ("export_{p}_{v}_{n}_Live", ["Day_0", "Week_12"]),
        ("asthma {p} {v}", ["before", "after"]),
        ("{p}-{v}", ["baseline", "w2", "m4", "m12"]),
        ("PBMC_{v}_{p}_{n}", ["t0", "t1"]),
    ],
)
def test_visits_are_found_wherever_they_stand(pattern, visits):
    keys = [(patient, visit) for patient in PATIENTS for visit in visits]
    names = [pattern.format(p=p, v=v, n=7 * n) for n, (p, v) in enumerate(keys)]
    guess = guess_names(names)
    assert list(zip(guess.patients, guess.visits, strict=True)) == keys
    assert set(guess.stimulations) == {""}
    assert guess.confidence == "high"
    assert order_levels(guess.visits[::-1]) == visits


def test_visits_and_stimulations():
    keys = [(f"Donor{i}", v, s) for i in range(4) for v in ("d0", "d7") for s in ("unstim", "PMA")]
    guess = guess_names(["_".join(key) for key in keys])
    found = list(zip(guess.patients, guess.visits, guess.stimulations, strict=True))
    assert found == keys


def test_d_is_a_donor_where_it_is_no_day():
    guess = guess_names([f"D{i}_{s}" for i in range(1, 7) for s in ("unstim", "LPS")])
    assert guess.patients[::2] == ("D1", "D2", "D3", "D4", "D5", "D6")
    assert set(guess.visits) == {""}
    assert guess.stimulations[:2] == ("unstim", "LPS")


def test_missing_visits_lower_the_confidence():
    guess = guess_names(["P1_baseline", "P1_month_4", "P2_baseline", "P3_month_4", "P3_baseline"])
    assert guess.patients == ("P1", "P1", "P2", "P3", "P3")
    assert guess.visits == ("baseline", "month_4", "baseline", "month_4", "baseline")
    assert guess.confidence == "medium"
    assert "2 of 3 patients" in guess.reason


def test_names_of_different_length():
    guess = guess_names(["P1_baseline", "P1_month4_rerun", "P2_baseline_x", "P2_month4"])
    assert guess.patients == ("P1", "P1", "P2", "P2")
    assert guess.visits == ("baseline", "month4") * 2


def test_no_word_for_a_visit_is_the_baseline():
    guess = guess_names(["P1", "P1_m4", "P2", "P2_m4"])
    assert guess.patients == ("P1", "P1", "P2", "P2")
    assert guess.visits == ("baseline", "m4") * 2
    assert guess.confidence == "medium"


def test_case_does_not_part_visits():
    guess = guess_names(["P1_Pre", "P1_post", "P2_pre", "P2_Post"])
    assert guess.visits == ("Pre", "post", "Pre", "post")


def test_dates_make_visits():
    names = [f"{p}_2023{month}1{i}" for i, p in enumerate(PATIENTS) for month in ("09", "03")]
    guess = guess_names(names)
    assert guess.patients[:2] == ("P01", "P01")
    assert guess.visits == ("visit_2", "visit_1") * 8
    assert guess.confidence == "low"


def test_unknown_words_are_visits_of_low_confidence():
    guess = guess_names([f"{p}_{v}" for p in PATIENTS for v in "12"])
    assert guess.visits == ("1", "2") * 8
    assert guess.confidence == "low"


@pytest.mark.parametrize(
    "names",
    [
        ["sample01", "sample02", "sample03"],
        [f"gate{i}x_{well}" for i in "abc" for well in ("H01", "H05", "H12")],
        ["a/tube", "b/tube"],
        ["cd4+", "cd4-", "cd4"],
        ["x"],
    ],
)
def test_one_patient_per_file_where_nothing_can_be_told(names):
    guess = guess_names(names)
    assert guess.confidence == "none"
    assert len(set(guess.patients)) == len(names)


def test_a_group_is_what_patients_share():
    names = [f"P{i}_{'well' if i < 4 else 'ill'}_{v}" for i in range(8) for v in ("pre", "post")]
    assert guess_names(names).groups == ("well",) * 8 + ("ill",) * 8


def test_many_files_are_quickly_read():
    names = [f"s{i}/{v}/{i}_{v}_a{i % 3}_b{i % 5}" for i in range(250) for v in ("V1", "V2")]
    assert guess_names(names).paired == 1


def test_order_of_levels():
    assert order_levels(["post", "w2", "month_4", "pre", "d1"]) == [
        *("pre", "d1", "w2", "month_4", "post")
    ]
    assert order_levels(["V12", "V4", "V0"]) == ["V0", "V4", "V12"]
    assert order_levels(["BCRXL", "Ref"]) == ["Ref", "BCRXL"]


def test_clean_ids():
    assert clean_id(" P 1/a+") == "P_1_apos"
    assert clean_id("??") == "unnamed"


CHANNELS = {
    **dict.fromkeys(("FSC-A", "FSC-H", "SSC-A", "Time"), ""),
    **{"BV421-A": "CD3 BV421", "BV421-H": "CD3 BV421", "FITC-A": "CD4", "PE-A": "CD294"},
    **{"APC-A": "", "V500-A": "Zombie", "PE-Cy7-A": "CD19", "B-A": "CD8", "AF700-A": "CD45"},
}


def test_panel():
    panel = propose_panel({"a.fcs": header(CHANNELS)})
    kinds = {row["channel"]: (row["marker"], row["kind"]) for row in panel.rows}
    assert kinds["FSC-A"] == ("FSC-A", "scatter")
    assert kinds["Time"] == ("Time", "time")
    assert kinds["BV421-A"] == ("CD3", "lineage")
    assert kinds["BV421-H"] == ("CD3", "unused")
    assert kinds["PE-A"] == ("CRTH2", "lineage")
    assert kinds["V500-A"] == ("viability", "viability")
    assert kinds["APC-A"] == ("APC-A", "unused")
    assert [message for _, message in panel.questions] == [
        "1 channels have no marker and are unused: APC-A; "
        "write marker and kind where an antibody was used"
    ]


def test_a_marker_on_two_channels_is_asked_for():
    panel = propose_panel({"a.fcs": header({"FITC-A": "CD3", "PE-A": "CD3e", "APC-A": "xyz"})})
    assert [row["kind"] for row in panel.rows] == ["unused", "unused", "state"]
    assert [row for row, _ in panel.questions] == [2, 3, 4]
    assert "CD3 stands on several channels (FITC-A, PE-A)" in panel.questions[0][1]
    assert '"xyz" is no marker of the synonym table' in panel.questions[2][1]


def test_renamed_channels_become_aliases():
    first, renamed = {"FITC-A": "CD3", "PE-A": "CD4"}, {"BB515-A": "CD3", "PE-A": "CD4"}
    headers = {"a": header(first), "b": header(first), "c": header(renamed)}
    panel = propose_panel(headers)
    assert panel.rows[0]["aliases"] == "BB515-A"
    assert panel.questions == []


def test_another_panel_is_named():
    headers = {"a": header({"PE-A": "CD3"}), "b": header({"PE-A": "CD3"})}
    panel = propose_panel({**headers, "c.fcs": header({"PE-A": "CD4"})})
    (question,) = panel.questions
    assert question[1].startswith("1 of 3 files (c.fcs) have another panel: PE-A is CD4, not CD3")


@pytest.mark.parametrize(
    ("found", "cytometry"),
    [
        (header({"Nd142Di": "", "Nd143Di": "", "Nd144Di": ""}), "mass"),
        (header({"CD3": ""}, cytometer="DVSSCIENCES-CYTOF"), "mass"),
        (header({"PE-A": ""}, cytometer="Aurora"), "spectral"),
        (header({"PE-A": ""}, cytometer="LSRII"), "conventional"),
        (header({"PE-A": ""}), "conventional"),
    ],
)
def test_cytometry(found, cytometry):
    assert guess_cytometry([found]) == cytometry


@pytest.mark.parametrize(("spill", "cytometry"), [("0.1", "conventional"), ("0.0", "spectral")])
def test_a_matrix_that_mixes_is_not_spectral(spill, cytometry):
    keywords = {"spillover": f"2,PE-A,APC-A,1,{spill},0,1"}
    found = header(
        {"PE-A": "", "APC-A": ""},
        cytometer="Aurora",
        keywords=keywords,
        spillover_channels=("PE-A", "APC-A"),
    )
    assert guess_cytometry([found]) == cytometry


@pytest.mark.parametrize("left_out", [*CHANNELS, None])
def test_the_gates_load_with_any_panel(left_out, tmp_path):
    gone = left_out[:-1] if left_out else "nothing"
    labels = {name: label for name, label in CHANNELS.items() if not name.startswith(gone)}
    panel = propose_panel({"a.fcs": header(labels)})
    gating = propose_gating(panel)
    path = tmp_path / "gating.yaml"
    path.write_text(yaml.safe_dump(gating))
    markers = {row["marker"] for row in panel.rows if row["kind"] != "unused"}
    strategy = load_strategy(path, load_vocabulary(COPIED[0]), markers)
    if left_out is None:
        assert strategy.gates["live_singlets"].signs == (("viability", False),)
        assert strategy.gates["T_cells"].signs == (("CD3", True), ("CD19", False))
        assert strategy.gates["Tc2"].under == "CD8_T"
        assert strategy.thresholds["CD45"].value == 0.5
    assert ("CD4_T" in strategy.gates) == (left_out not in ("BV421-A", "BV421-H", "FITC-A"))
