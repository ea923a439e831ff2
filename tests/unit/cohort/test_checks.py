import csv
import datetime
import time

import openpyxl
import pytest
import yaml

from biocross.cohort.checks import inspect_cohort, load_cohort
from biocross.cohort.config import complete_config
from biocross.errors import ConfigError

SHEETS = ("samples", "patients", "clinical", "panel")


@pytest.fixture
def problems(study):
    """List the errors of the study as text, with the names of its files made short."""

    def run():
        found = inspect_cohort(study.config)[1]
        return [
            str(problem).replace(f"{study.folder}/", "") for problem in found if problem.is_error
        ]

    return run


def test_sound_study(study):
    cohort = load_cohort(study.config)
    assert [sample.sample_id for sample in cohort.samples] == [
        "P1_baseline",
        "P1_month_4",
        "P2_baseline",
        "P2_month_4",
    ]
    assert cohort.patients["P2"] == {"patient_id": "P2", "treatment": "dupilumab", "age": 41.0}
    assert cohort.clinical["P1", "month_4"]["leukocytes_per_ul"] == 6500.5
    assert cohort.levels == ("baseline", "month_4")
    assert [str(contrast) for contrast in cohort.contrasts] == ["month_4 - baseline"]


def test_shipped_configurations_are_sound(pytestconfig, monkeypatch):
    monkeypatch.chdir(pytestconfig.rootpath)
    config = yaml.safe_load((pytestconfig.rootpath / "config" / "config.yaml").read_text())
    cohort = load_cohort(config)
    assert (len(cohort.of_modality("flow")), len(cohort.of_modality("rna"))) == (43, 16)
    assert len(cohort.patients) == 16


@pytest.mark.parametrize(
    ("sheet", "old", "new", "expected"),
    [
        (
            "samples",
            "P2_month_4\tP2\tmonth_4",
            "P2_month_4\tP2\tmonth4",
            ['samples.tsv row 5: visit "month4" is not in design.levels; did you mean "month_4"?'],
        ),
        (
            "samples",
            "P2_month_4.fcs",
            "P2_month4.fcs",
            [
                'samples.tsv row 5: there is no file "fcs/P2_month4.fcs"; '
                'did you mean "P2_month_4.fcs"?'
            ],
        ),
        (
            "samples",
            "P2_month_4.fcs",
            "run_9/P2.fcs",
            [
                'samples.tsv row 5: there is no file "fcs/run_9/P2.fcs"; '
                'the folder "fcs/run_9" does not exist (see inputs.folder)'
            ],
        ),
        (
            "samples",
            "P2_month_4.fcs",
            "P2_baseline.fcs",
            ['samples.tsv row 5: path "P2_baseline.fcs" is already in row 4; keep one of them'],
        ),
        (
            "samples",
            "P2_month_4\t",
            "P2_baseline\t",
            ['samples.tsv row 5: sample_id "P2_baseline" is already in row 4; keep one of them'],
        ),
        (
            "samples",
            "P2_month_4\tP2\tmonth_4",
            "P2_month_4\tP2\tbaseline",
            [
                'samples.tsv row 5: patient_id "P2", visit "baseline", modality "flow" is already '
                "in row 4; keep one of them"
            ],
        ),
        (
            "samples",
            "P2_month_4\tP2\tmonth_4\tflow",
            "P2_month_4\tP2\tmonth_4\tFlow cytometry",
            ['samples.tsv row 5: "modality" is "Flow cytometry"; known are: flow, rna'],
        ),
        (
            "samples",
            "P2_month_4\tP2",
            "P2 month 4\tP2",
            [
                'samples.tsv row 5: "sample_id" is \'P2 month 4\': use letters, digits, "_", "-" '
                'and "." only (it names files)'
            ],
        ),
        (
            "samples",
            "P2_month_4.fcs\tlot_1\twhole_blood",
            "P2_month_4.fcs",
            [
                'samples.tsv row 5: "batch" is missing; please fill it in',
                'samples.tsv row 5: "tissue" is missing; please fill it in',
            ],
        ),
        (
            "samples",
            "P2_month_4.fcs\tlot_1\twhole_blood",
            "P2_month_4.fcs\tlot_1\twhole_blood\tpbmc",
            ["samples.tsv row 5: has 8 cells, but the table has 7 columns"],
        ),
        (
            "samples",
            "\ttissue",
            "\ttisue",
            [
                'samples.tsv row 1: unknown column "tisue"; did you mean "tissue"?',
                'samples.tsv row 1: column "tissue" is missing',
            ],
        ),
        (
            "patients",
            "P2\tdupilumab",
            "P1\tdupilumab",
            [
                'patients.tsv row 3: patient_id "P1" is already in row 2; keep one of them',
                'samples.tsv row 4: patient "P2" is not in patients.tsv; known are: P1',
                'samples.tsv row 5: patient "P2" is not in patients.tsv; known are: P1',
                'clinical.tsv row 4: patient "P2" is not in patients.tsv; known are: P1',
            ],
        ),
        (
            "patients",
            "P2\tdupilumab\t41",
            "P2\tdupilumab\t41\nP3\tdupilumab\t60",
            [
                'patients.tsv row 4: patient "P3" has no sample in samples.tsv; '
                "add the samples or remove the patient"
            ],
        ),
        (
            "patients",
            "dupilumab\t41",
            "dupilumab\t410",
            ['patients.tsv row 3: "age" is 410.0: an age in years is between 0 and 120'],
        ),
        (
            "patients",
            "dupilumab",
            "",
            ['patients.tsv row 3: "treatment" is missing; please fill it in'],
        ),
        (
            "clinical",
            "5000",
            "NA",
            [
                'clinical.tsv row 4: "leukocytes_per_ul" is "NA", but must be a number, or empty '
                "if unknown"
            ],
        ),
        (
            "clinical",
            "P1\tmonth_4",
            "P1\tbaseline",
            [
                'clinical.tsv row 3: patient_id "P1", visit "baseline" is already in row 2; '
                "keep one of them"
            ],
        ),
        (
            "panel",
            "PE-A\tCD3",
            "PE-A\tFSC-A",
            ['panel.tsv row 3: marker "FSC-A" is already in row 2; each may appear once'],
        ),
        (
            "panel",
            "lineage",
            "linage",
            ['panel.tsv row 3: "kind" is "linage"; did you mean "lineage"?'],
        ),
    ],
)
def test_one_mistake_is_one_sentence(study, problems, sheet, old, new, expected):
    study.edit(sheet, old, new)
    assert sorted(problems()) == sorted(expected)


def test_patient_in_one_sheet_only(study, problems):
    study.edit("patients", "P2\t", "P22\t")
    assert problems() == [
        'samples.tsv row 4: patient "P2" is not in patients.tsv; did you mean "P22"?',
        'samples.tsv row 5: patient "P2" is not in patients.tsv; did you mean "P22"?',
        'clinical.tsv row 4: patient "P2" is not in patients.tsv; did you mean "P22"?',
        'patients.tsv row 3: patient "P22" has no sample in samples.tsv; '
        "add the samples or remove the patient",
    ]


def test_a_level_that_nobody_reached(study, problems):
    study.config["design"]["levels"].append("month_12")
    assert problems() == [
        'samples.tsv: no sample has the visit "month_12" that design.levels names'
    ]


def test_declared_contrasts(study, problems):
    study.config["design"]["contrasts"] = ["month4 - baseline", "month_4 minus baseline"]
    first, second = problems()
    assert first.startswith('design.contrasts: "month4" of the contrast "month4 - baseline" is')
    assert first.endswith('did you mean "month_4"?')
    assert second.endswith('"month_4 minus baseline" must read like "month_4 - baseline"')


def test_treatment_of_an_unknown_visit(study, problems):
    study.write(
        "patients",
        "patient_id visit treatment",
        *("P1 . mepolizumab", "P2 baseline none", "P2 month_44 dupilumab"),
    )
    assert problems() == [
        'patients.tsv row 4: visit "month_44" is not in design.levels; did you mean "month_4"?'
    ]


def test_stimulation_must_be_given_where_it_is_compared(study, problems):
    study.config["design"] = {"contrast": "stimulation", "levels": ["none", "BCR"]}
    study.write(
        "samples",
        "sample_id patient_id visit modality path batch tissue stimulation",
        "a P1 single flow P1_baseline.fcs lot_1 pbmc none",
        "b P1 single flow P1_month_4.fcs lot_1 pbmc BCRXL",
        "c P2 single flow P2_baseline.fcs lot_1 pbmc .",
    )
    assert problems() == [
        'samples.tsv row 3: stimulation "BCRXL" is not in design.levels; did you mean "BCR"?',
        'samples.tsv row 4: "stimulation" is empty, but the design compares its values',
        'samples.tsv: no sample has the stimulation "BCR" that design.levels names',
    ]


def stimulated(study, *stimulations):
    """Write the samples of one patient and visit, one per stimulation, and those of the others."""
    rows = [
        f"s{i} P1 baseline flow P1_baseline.fcs lot_1 pbmc {stimulation}"
        for i, stimulation in enumerate(stimulations)
    ]
    for i, row in enumerate(rows[1:], 1):
        name = f"stimulated_{i}.fcs"
        (study.folder / "fcs" / name).touch()
        rows[i] = row.replace("P1_baseline.fcs", name)
    study.write(
        "samples",
        "sample_id patient_id visit modality path batch tissue stimulation",
        *rows,
        "c P1 month_4 flow P1_month_4.fcs lot_1 pbmc .",
        "d P2 baseline flow P2_baseline.fcs lot_1 pbmc .",
    )


@pytest.mark.parametrize("word", [".", "none", "Unstim", "un-stimulated", "DMSO", "Medium", "Ref"])
def test_stimulated_samples_stand_beside_an_unstimulated_one(study, problems, word):
    stimulated(study, word, "PMA", "HDM")
    assert problems() == []
    cohort = load_cohort(study.config)
    assert [sample.stimulus for sample in cohort.stimulated] == ["PMA", "HDM"]


def test_a_visit_has_one_unstimulated_sample(study, problems):
    """Which of the two would be the background?"""
    stimulated(study, "medium", "DMSO", "PMA")
    assert problems() == [
        'samples.tsv: samples "s0" (medium) and "s1" (DMSO) are both the unstimulated sample of '
        "one patient and visit; keep the one that the stimulated ones are compared with"
    ]


def test_replicates_of_a_stimulation_are_refused(study, problems):
    stimulated(study, ".", "PMA", "PMA")
    (problem,) = problems()
    assert 'stimulation "PMA", modality "flow" is already in row 3; keep one' in problem


def test_visits_of_stimulated_samples_alone_have_nothing_to_compare(study, problems):
    study.write(
        "samples",
        "sample_id patient_id visit modality path batch tissue stimulation",
        "a P1 baseline flow P1_baseline.fcs lot_1 pbmc PMA",
        "b P1 month_4 flow P1_month_4.fcs lot_1 pbmc PMA",
        "c P2 baseline flow P2_baseline.fcs lot_1 pbmc LPS",
    )
    assert problems() == [
        "samples.tsv: every sample of flow is stimulated (PMA, LPS); "
        "design.contrast: visit compares unstimulated samples, whose stimulation is empty or a "
        "word such as none, unstimulated, medium, dmso; add them, or leave the stimulation empty "
        "where all samples were treated alike and shall be compared as they are"
    ]


def test_stimulations_are_compared_within_one_visit(study, problems):
    study.config["design"] = {"contrast": "stimulation", "levels": ["none", "BCR"]}
    study.write(
        "samples",
        "sample_id patient_id visit modality path batch tissue stimulation",
        "a P1 baseline flow P1_baseline.fcs lot_1 pbmc none",
        "b P1 month_4 flow P1_month_4.fcs lot_1 pbmc BCR",
        "c P2 baseline flow P2_baseline.fcs lot_1 pbmc none",
    )
    assert problems() == [
        "samples.tsv: design.contrast: stimulation compares within one visit, but there are 2 "
        "(baseline, month_4), and visits of one patient are not independent; make one "
        "configuration per visit, or compare visits (design.contrast: visit), which compares the "
        "responses to the stimulation too"
    ]


def test_covariates_are_columns_of_the_clinical_sheet(study, problems):
    study.config["statistics"] = {"covariates": ["leukocytes_per_ul", "leucocytes_per_ul"]}
    assert problems() == [
        'statistics.covariates: "leucocytes_per_ul" is no numeric column of clinical.tsv; '
        'did you mean "leukocytes_per_ul"?'
    ]


@pytest.mark.parametrize("sheet", SHEETS)
def test_empty_sheet(study, problems, sheet):
    path = study.folder / f"{sheet}.tsv"
    path.write_text(path.read_text().splitlines()[0] + "\n\n")
    assert problems() == [f"{sheet}.tsv: has no rows below its column names"]
    path.write_text("")
    assert problems() == [f"{sheet}.tsv: is empty; its first line must name the columns"]


@pytest.mark.parametrize("sheet", SHEETS)
def test_missing_sheet(study, problems, sheet):
    (study.folder / f"{sheet}.tsv").unlink()
    assert problems() == [f"{sheet}.tsv: there is no such file"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_cells_separated_by_commas_or_semicolons(study, separator):
    sound = load_cohort(study.config)
    for sheet in SHEETS:
        path = study.folder / f"{sheet}.tsv"
        path.write_text(path.read_text().replace("\t", separator))
    assert load_cohort(study.config) == sound


@pytest.mark.parametrize("separator", ["|", " ", ":"])
@pytest.mark.parametrize("sheet", SHEETS)
def test_wrong_separator(study, problems, sheet, separator):
    path = study.folder / f"{sheet}.tsv"
    path.write_text(path.read_text().replace("\t", separator))
    assert problems() == [
        f"{sheet}.tsv row 1: its cells are not separated by tabs, semicolons or commas; export it "
        "as tab-separated text"
    ]


def test_workbooks_instead_of_text(study):
    sound = load_cohort(study.config)
    for sheet in SHEETS:
        text = (study.folder / f"{sheet}.tsv").read_text()
        book = openpyxl.Workbook()
        for row in csv.reader(text.splitlines(), delimiter="\t"):
            book.active.append([_as_excel(cell) for cell in row])
        book.save(study.folder / f"{sheet}.xlsx")
        study.config["inputs"][sheet] = str(study.folder / f"{sheet}.xlsx")
    assert load_cohort(study.config) == sound


def _as_excel(cell):
    if ":" in cell:
        return datetime.time.fromisoformat(cell)
    return float(cell) if cell[:1].isdigit() else cell or None


def _windows(text):
    lines = text.splitlines()
    lines.insert(2, "")
    return "\r\n".join(line.replace("\t", " \t ") + "\t" for line in lines) + "\r\n"


def _loud_header(text):
    header, rest = text.split("\n", 1)
    return header.replace("_", " ").upper() + "\n" + rest


@pytest.mark.parametrize(
    "written",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: _windows(text).encode(),
        lambda text: text.encode("utf-16"),
        lambda text: _loud_header(text).encode(),
        lambda text: text.replace("\t", "\xa0\t\u200b").encode(),
        lambda text: (text + "\t \t\n\n").encode(),
    ],
    ids=["byte-order mark", "Windows, blanks", "UTF-16", "headers", "hidden blanks", "blank rows"],
)
def test_harmless_ways_to_write_a_sheet(study, written):
    sound = load_cohort(study.config)
    for sheet in SHEETS:
        path = study.folder / f"{sheet}.tsv"
        path.write_bytes(written(path.read_text()))
    assert load_cohort(study.config) == sound


def test_without_clinical_sheet(study):
    study.config["inputs"]["clinical"] = None
    assert load_cohort(study.config).clinical == {}


def test_broken_vocabulary(study, problems):
    path = study.folder / "populations.yaml"
    path.write_text("A: {parent: null, flow: x}\nB: {parent: C, flow: x}\n")
    study.config["inputs"]["populations"] = str(path)
    assert problems() == ['populations.yaml: parent of B is "C", no population; known are: A, B']


@pytest.mark.parametrize("name", ["panel", "gating"])
def test_samples_need_a_panel_and_gates(study, problems, name):
    study.config["inputs"][name] = None
    assert problems() == [f"inputs: names samples, but no {name}; files cannot be gated without it"]


def test_a_study_without_any_measurement(study, problems):
    study.config["inputs"]["samples"] = None
    assert "inputs: names neither samples nor counts; give one" in problems()


def test_files_of_the_demo_need_not_exist_yet(study, problems):
    study.config["simulate"] = {"study": "study.yaml"}
    for path in (study.folder / "fcs").iterdir():
        path.unlink()
    assert problems() == []


def test_all_problems_at_once(study, problems):
    """Faults within rows hide neither each other nor what is wrong between the sheets."""
    study.edit("samples", "P1_month_4\tP1\tmonth_4\tflow", "P1_month_4\tP1\tmonth4\tfow")
    study.edit("samples", "P2_month_4.fcs", "P2.fcs")
    study.edit("patients", "P2\tdupilumab\t41", "P2\tdupilumab\told\nP3\tdupilumab\t50")
    study.edit("clinical", "P2\tbaseline", "P9\tbaseline")
    study.edit("panel", "lineage", "linage")
    found = problems()
    for start in (
        'samples.tsv row 3: "modality" is "fow"',
        'samples.tsv row 3: visit "month4" is not in design.levels',
        'samples.tsv row 5: there is no file "fcs/P2.fcs"',
        "patients.tsv row 3: \"age\" is 'old'",
        'patients.tsv row 4: patient "P3" has no sample',
        'clinical.tsv row 4: patient "P9" is not in patients.tsv',
        'panel.tsv row 3: "kind" is "linage"',
    ):
        assert sum(line.startswith(start) for line in found) == 1, start
    assert len(found) == 7
    with pytest.raises(ConfigError) as caught:
        load_cohort(study.config)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[0] == "7 problems in the input:"
    assert [line.replace(f"{study.folder}/", "") for line in lines[1:8]] == found


def test_one_problem_is_counted_in_the_singular(study):
    study.edit("panel", "lineage", "linage")
    with pytest.raises(ConfigError, match=r"^1 problem in the input:\n"):
        load_cohort(study.config)


def test_a_complete_configuration_is_checked_alike(study):
    assert inspect_cohort(complete_config(study.config)) == inspect_cohort(study.config)


def test_warnings_stop_nothing_and_stand_after_the_errors(study):
    assert load_cohort(study.config).samples
    study.edit("patients", "P2\tdupilumab\t41", "P2\tMepolizumab\t410")
    with pytest.raises(ConfigError) as caught:
        load_cohort(study.config)
    first, error, second, warning = str(caught.value).splitlines()
    assert first == "1 problem in the input:"
    assert '"age" is 410.0' in error
    assert second.strip() == "and 1 warning:"
    assert 'treatment "Mepolizumab" (1 row) and "mepolizumab" (1 row)' in warning


def test_problems_name_their_column(study):
    study.edit("samples", "P2_month_4\tP2\tmonth_4\tflow", "P2_month_4\tP9\tmonth\tfluw")
    study.edit("samples", "P1_month_4.fcs", "P1.fcs")
    errors = [problem for problem in inspect_cohort(study.config)[1] if problem.is_error]
    assert {(problem.row, problem.column) for problem in errors} == {
        (5, "modality"),
        (5, "visit"),
        (5, "patient_id"),
        (3, "path"),
    }


def test_a_name_that_no_file_can_have(study, problems):
    study.edit("samples", "P2_month_4.fcs", "x" * 5000)
    (sentence,) = problems()
    assert sentence.startswith('samples.tsv row 5: there is no file "fcs/xxx')


def test_a_misspelt_visit_of_the_clinical_sheet(study, problems):
    study.edit("clinical", "P1\tmonth_4", "P1\tMonth 4")
    assert problems() == [
        'clinical.tsv row 3: visit "Month 4" is neither in design.levels nor of any sample; did '
        'you mean "month_4"?'
    ]


@pytest.mark.parametrize("broken", [False, True])
def test_500_samples_are_checked_in_a_second(study, broken):
    rows, patients, clinical = [], [], []
    for number in range(250):
        patient = f"P{number:03d}"
        patients.append(f"{patient} {'mepolizumab' if number % 2 else 'dupilumab'} 50")
        for visit in ("baseline", "month_4"):
            (study.folder / "fcs" / f"{patient}_{visit}.fcs").touch()
            name = f"{patient}_{visit}" + "x" * broken
            rows.append(f"{name} {patient} {visit} flow {name}.fcs lot_{number} whole_blood")
            clinical.append(f"{patient} {visit} 5000 08:00")
    study.write("samples", "sample_id patient_id visit modality path batch tissue", *rows)
    study.write("patients", "patient_id treatment age", *patients)
    study.write("clinical", "patient_id visit leukocytes_per_ul draw_time", *clinical)
    started = time.process_time()
    _, problems = inspect_cohort(study.config)
    # Ample, for slow machines: it takes a fifth of that.
    assert time.process_time() - started < 3
    assert sum(problem.is_error for problem in problems) == 500 * broken


CONTROLS = (
    "sample_id\tpatient_id\tvisit\tmodality\tpath\tbatch\ttissue\trole\tcontrol_for",
    "single_PE\t\t\tflow\tPE.fcs\tlot_1\t\tsingle_stain\tPE-A",
    "blank\t\t\tflow\tblank.fcs\tlot_1\t\tunstained\t",
)


def with_controls(study, *lines):
    """Append rows of controls to the study's sheet of samples."""
    path = study.folder / "samples.tsv"
    samples = path.read_text().splitlines()
    samples = [CONTROLS[0], *(f"{line}\tsample\t" for line in samples[1:])]
    path.write_text("\n".join([*samples, *lines]) + "\n")
    for line in lines:
        (study.folder / "fcs" / line.split("\t")[4]).write_bytes(b"")


def test_controls_are_no_samples_and_need_no_patient(study, problems):
    with_controls(study, *CONTROLS[1:])
    assert problems() == []
    cohort = load_cohort(study.config)
    assert len(cohort.samples) == 4
    assert [(c.sample_id, c.role, c.control_for) for c in cohort.controls] == [
        ("single_PE", "single_stain", "PE-A"),
        ("blank", "unstained", ""),
    ]


def test_a_control_names_its_channel(study, problems):
    with_controls(study, CONTROLS[1].replace("PE-A", "PE-Q"), CONTROLS[1].removesuffix("PE-A"))
    assert any(
        'control_for "PE-Q" is no channel of the panel; did you mean "PE' in p for p in problems()
    )
    assert 'samples.tsv row 7: "control_for" is missing; please fill it in' in problems()
    assert any('sample_id "single_PE" is already in row 6' in problem for problem in problems())


def test_compensation_needs_what_it_is_computed_from(study, problems):
    study.config["flow"] = {"compensation": "controls"}
    assert problems() == [
        "flow.compensation: asks for single stains, but samples.tsv has 0 rows "
        "of the role single_stain; add the controls, or choose another compensation"
    ]
    study.config["flow"] = {"compensation": "matrix.csv"}
    assert problems() == [
        'flow.compensation: there is no file "matrix.csv"; give file, controls, none, or the path '
        "of a CSV matrix"
    ]


def test_a_border_by_fmo_needs_a_control(study):
    gates = {
        "thresholds": {"CD3": {"method": "fmo"}},
        "gates": {"live_singlets": {"phenotype": "CD3+"}},
    }
    (study.folder / "gating.yaml").write_text(yaml.safe_dump(gates))
    words = "the borders CD3 are drawn by FMO controls, but the sheet of samples has none"
    assert any(words in str(problem) for problem in inspect_cohort(study.config)[1])
    sheet = (study.folder / "samples.tsv").read_text()
    with_controls(study, "no_FSC\t\t\tflow\tfmo.fcs\tlot_1\t\tfmo\tFSC-A")
    assert any(words in str(problem) for problem in inspect_cohort(study.config)[1])
    (study.folder / "samples.tsv").write_text(sheet)
    with_controls(study, "no_CD3\t\t\tflow\tfmo.fcs\tlot_1\t\tfmo\tCD3")
    assert not any(words in str(problem) for problem in inspect_cohort(study.config)[1])


def test_gates_drawn_elsewhere_need_a_sheet(study, problems):
    (study.folder / "gates.wsp").write_text("<Workspace/>")
    study.config["inputs"]["gating"] = str(study.folder / "gates.wsp")
    assert problems() == [
        "gates.wsp: needs inputs.gate_paths, the sheet that says which gate is which population; "
        "`biocross gates` proposes one"
    ]
    study.config["inputs"]["gating"] = str(study.folder / "other.wsp")
    assert problems() == ["other.wsp: there is no such file"]
