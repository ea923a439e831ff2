"""Whatever stands in a sheet, the checks answer with sentences."""

import tempfile
from contextlib import nullcontext
from pathlib import Path

import openpyxl
import pytest
import yaml
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from openpyxl.utils.exceptions import IllegalCharacterError

from biocross.cohort.checks import inspect_cohort
from biocross.cohort.overview import check_cohort
from biocross.cohort.report import check
from biocross.cohort.sheets import USUAL_COLUMNS, Problem, load_schema, read_sheet
from biocross.errors import BiocrossError
from biocross.tables import read_rows

ROOT = Path(__file__).parents[2]
SHEETS = ("samples", "patients", "clinical", "panel", "counts")
WORDS = (
    *("", " ", "P1", "P2", "p1", "P 1", "baseline", "month_4", "Month 4", "flow", "rna", "Flow"),
    *("a.fcs", "../a", "/", "x" * 300, "\0", "lot_1", "pbmc", "mepolizumab", "Mepolizumab"),
    *("0", "-1", "1.5", "1,5", "1e999", "nan", "1_000", "٣", "007", "yes", "NA", "#REF!", "=1+1"),
    *("Th2", "lymphocytes", "CD3", "lineage", "scatter", "FSC-A", '"', '"a', "a\nb", "\u200b"),
)
CELL = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PATIENTS = ("P1", "P2", "P3")
VISITS = ("baseline", "month_4")
POPULATIONS = "live: {parent: null, flow: x}\nTh2: {parent: live, flow: x, primary: true}\n"
GATES = "gates: {live: {}}\n"
SETTINGS = settings(deadline=None, max_examples=40)


def columns_of(name):
    known = [*load_schema(name)["properties"], *USUAL_COLUMNS.get(name, ())]
    spelled = [column.replace("_", " ").title() for column in known]
    return st.lists(st.sampled_from(known) | st.sampled_from(spelled) | CELL, max_size=9)


@st.composite
def tables(draw, name):
    """Draw a sheet; half of them have all the columns they need, so that their rows are read."""
    columns = draw(columns_of(name))
    if draw(st.booleans()):
        columns = list(dict.fromkeys([*load_schema(name)["required"], *columns]))
    width = len(columns) + draw(st.integers(-1, 1))
    row = st.lists(CELL, min_size=max(width, 0), max_size=max(width, 0))
    return [columns, *draw(st.lists(row, max_size=5))]


@st.composite
def text_files(draw, name):
    separator = draw(st.sampled_from("\t;,|"))
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoted = draw(st.booleans())
    lines = [
        separator.join('"' + cell.replace('"', '""') + '"' if quoted else cell for cell in row)
        for row in draw(tables(name))
    ]
    text = "".join(line + line_end for line in lines)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le"]))
    return text.encode(encoding, errors="replace")


def written(folder, name, content):
    path = Path(folder) / f"{name}.tsv"
    path.write_bytes(content)
    return path


def assert_sentences(problems):
    for problem in problems:
        assert isinstance(problem, Problem)
        assert problem.severity in ("error", "warning")
        assert str(problem).startswith(problem.file)
        assert "Traceback" not in problem.message
        assert len(problem.message) > 5


def configuration(folder, **inputs):
    (folder / "populations.yaml").write_text(POPULATIONS)
    (folder / "gating.yaml").write_text(GATES)
    return {
        "results": str(folder / "results"),
        "inputs": {
            "folder": str(folder),
            "populations": str(folder / "populations.yaml"),
            "gating": str(folder / "gating.yaml"),
            **{name: str(path) for name, path in inputs.items()},
        },
        "design": {"levels": ["baseline", "month_4"]},
    }


@pytest.mark.parametrize("name", SHEETS)
@SETTINGS
@given(data=st.data())
def test_one_sheet_of_anything(name, data):
    content = data.draw(text_files(name) | st.binary(max_size=80))
    with tempfile.TemporaryDirectory() as folder:
        rows, problems = read_sheet(written(folder, name, content), name)
    assert_sentences(problems)
    assert rows or problems


@SETTINGS
@given(samples=tables("samples"), patients=tables("patients"), clinical=tables("clinical"))
@example(samples=[["sample_id"]], patients=[[]], clinical=[["", "visit"], ["1", "2"]])
def test_workbooks_of_anything(samples, patients, clinical):
    with tempfile.TemporaryDirectory() as folder:
        for name, table in (("samples", samples), ("patients", patients), ("clinical", clinical)):
            book = openpyxl.Workbook()
            try:
                for row in table:
                    book.active.append(row)
            except IllegalCharacterError:
                return
            path = Path(folder) / f"{name}.xlsx"
            book.save(path)
            rows, problems = read_sheet(path, name)
            assert_sentences(problems)
            assert rows or problems


@SETTINGS
@given(data=st.data())
def test_whole_cohorts_of_anything(data):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = configuration(
            folder, **{s: written(folder, s, data.draw(text_files(s))) for s in SHEETS}
        )
        _, problems = inspect_cohort(config)
        assert_sentences(problems)


def rows_of(draw, unique_by, **columns):
    """Draw rows whose cells are what the column may hold, one by one."""
    row = st.fixed_dictionaries({name: st.sampled_from(words) for name, words in columns.items()})
    keys = tuple(lambda row, key=key: tuple(row[name] for name in key) for key in unique_by)
    return draw(st.lists(row, min_size=3, max_size=9, unique_by=keys or None))


def nearly_sound_sheets(draw):
    """Draw sheets of which about half hold together, and half do not."""
    odd = draw(st.booleans())
    visits = (*VISITS, "month4", "month_12") if odd else VISITS
    samples = rows_of(
        draw,
        [("patient_id", "visit", "modality")],
        patient_id=PATIENTS,
        visit=VISITS,
        modality=["flow", "rna"],
        batch=["lot_1", "Lot 1", "lot_2"],
        tissue=["pbmc"],
        stimulation=["", "", "PMA"] if odd else [""],
    )
    for number, row in enumerate(samples):
        row |= {"sample_id": f"S{number}", "path": f"S{number}.fcs"}
    patients = rows_of(
        draw,
        [("patient_id",)],
        patient_id=PATIENTS,
        visit=["", *visits] if odd else [""],
        treatment=["mepolizumab", "Mepolizumab", "mepolizumb"],
        sex=["f", "m", "", "1"],
    )
    if not odd:
        measured = {row["patient_id"] for row in samples}
        patients = [row for row in patients if row["patient_id"] in measured]
    clinical = rows_of(
        draw,
        [("patient_id", "visit")],
        patient_id=PATIENTS,
        visit=visits,
        leucocytes_per_ul=["", "1", "2,5"],
    )
    return {"samples": samples, "patients": patients, "clinical": clinical}


@SETTINGS
@given(data=st.data())
def test_cohorts_that_are_nearly_sound(data):
    """Cells that pass one by one, so that the checks across sheets see every combination."""
    drawn = nearly_sound_sheets(data.draw)
    with tempfile.TemporaryDirectory() as name:
        folder, paths = Path(name), {}
        for what, rows in drawn.items():
            lines = [list(rows[0]), *([row[name] for name in rows[0]] for row in rows)]
            text = "\n".join(";".join(line) for line in lines) + "\n"
            paths[what] = written(folder, what, text.encode())
        config = configuration(folder, panel=ROOT / "config" / "panel.tsv", **paths)
        config["simulate"] = {"study": "no files are looked for"}
        out = [folder / "out" / part for part in ("s.tsv", "p.tsv", "problems.tsv", "design.md")]
        _, problems = inspect_cohort(config)
        assert_sentences(problems)
        broken = any(problem.is_error for problem in problems)
        with pytest.raises(BiocrossError) if broken else nullcontext():
            check_cohort(config, *out, patients_out=folder / "out" / "patients.tsv")
        assert len(read_rows(out[2])) == len(problems)
        assert [path.exists() for path in out] == [not broken, not broken, True, not broken]
        event("broken" if broken else "sound")
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        assert check(folder / "config.yaml") == broken
