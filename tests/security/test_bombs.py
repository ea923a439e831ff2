"""Short files that would become huge are refused before they do, with a sentence."""

import tracemalloc
import zipfile

import openpyxl
import pytest
import yaml

from biocross.cohort.sheets import load_yaml
from biocross.cohort.workbook import read_workbook
from biocross.errors import ConfigError, GatingError, TableError
from biocross.flow.imported.refusals import open_gates

LAUGHS = "".join(
    f'<!ENTITY l{n} "{"".join([f"&l{n - 1};"] * 10)}">' if n else '<!ENTITY l0 "ha">'
    for n in range(10)
)
GATINGML = (
    "<gating:Gating-ML xmlns:gating='http://www.isac-net.org/std/Gating-ML/v2.0/gating'>{}"
    "</gating:Gating-ML>"
)
WORKSPACE = '<Workspace flowJoVersion="10.8">{}</Workspace>'
MOST_BYTES = 200e6


@pytest.fixture(autouse=True)
def cheap():
    """Fail where a test takes much memory."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_BYTES


@pytest.mark.parametrize("name", ["gates.xml", "gates.wsp"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_in_gates(tmp_path, name, encoding):
    body = (GATINGML if name.endswith("xml") else WORKSPACE).format("&l9;")
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [{LAUGHS}]>{body}'
    (tmp_path / name).write_bytes(text.encode(encoding))
    with pytest.raises(GatingError, match="declares XML entities"):
        open_gates(tmp_path / name)


def test_an_entity_that_names_a_file(tmp_path):
    path = tmp_path / "gates.xml"
    path.write_text(
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>{GATINGML.format("&x;")}'
    )
    with pytest.raises(GatingError, match=r"gates\.xml: declares XML entities"):
        open_gates(path)


def test_an_entity_behind_a_long_comment(tmp_path):
    path = tmp_path / "gates.wsp"
    comment = f"<!--{' ' * 300_000}-->"
    path.write_text(f"{comment}<!DOCTYPE a [{LAUGHS}]>{WORKSPACE.format('&l9;')}")
    with pytest.raises(GatingError, match="declares XML entities"):
        open_gates(path)


def test_a_plain_workspace_is_opened(tmp_path):
    path = tmp_path / "gates.wsp"
    path.write_text(f"<!DOCTYPE Workspace>{WORKSPACE.format('')}")
    assert open_gates(path)[0] == "flowjo"


def workbook(path, parts):
    """Write a workbook whose parts are replaced by others."""
    book = openpyxl.Workbook()
    book.active.append(["patient_id", "treatment"])
    plain = path.with_suffix(".plain")
    book.save(plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in dict.fromkeys([*source.namelist(), *parts]):
            with target.open(name, "w", force_zip64=True) as out:
                for block in parts.get(name) or [source.read(name)]:
                    out.write(block)
    return path


SHEET = "xl/worksheets/sheet1.xml"
OPEN = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'


@pytest.mark.parametrize("name", [SHEET, "xl/media/picture.bin"])
def test_a_zip_of_zeros(tmp_path, name):
    million = bytes(1_000_000)
    path = workbook(tmp_path / "patients.xlsx", {name: (million for _ in range(500))})
    assert path.stat().st_size < 1e6
    with pytest.raises(TableError, match=r"patients\.xlsx: has \d+ parts that unpack to 500 MB"):
        read_workbook(path)


def test_entities_in_a_workbook(tmp_path):
    text = f"<!DOCTYPE a [{LAUGHS}]>".encode() + OPEN + b"&l9;</sheetData></worksheet>"
    with pytest.raises(TableError, match="declares XML entities"):
        read_workbook(workbook(tmp_path / "patients.xlsx", {SHEET: [text]}))


def test_rows_that_are_filled_up_with_empty_cells(tmp_path):
    rows = (f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>'.encode() for n in range(1, 100_001))
    parts = {SHEET: [OPEN, b"".join(rows), b"</sheetData></worksheet>"]}
    path = workbook(tmp_path / "patients.xlsx", parts)
    with pytest.raises(TableError, match=r"more than [\d,]+ cells"):
        read_workbook(path)


def test_a_workbook_that_lies_about_its_sizes(tmp_path):
    path = workbook(tmp_path / "patients.xlsx", {SHEET: (bytes(1_000_000) for _ in range(50))})
    content = path.read_bytes()
    true = (50_000_000).to_bytes(4, "little")
    path.write_bytes(content.replace(true, (99).to_bytes(4, "little")))
    with pytest.raises(TableError, match="cannot be read as an Excel workbook"):
        read_workbook(path)


def test_yaml_builds_no_objects(tmp_path):
    path = tmp_path / "gating.yaml"
    path.write_text(f"gates: !!python/object/apply:os.system ['touch {tmp_path}/pwned']\n")
    with pytest.raises(ConfigError, match=r"gating\.yaml"):
        load_yaml(path)
    assert not (tmp_path / "pwned").exists()


def test_yaml_that_repeats_itself(tmp_path):
    lines = [
        "a0: &a0 [ha]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)),
    ]
    path = tmp_path / "gating.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"gating\.yaml: .* repeat itself"):
        load_yaml(path)


def test_yaml_with_an_alias_is_read(tmp_path):
    path = tmp_path / "gating.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\nc: *a\n")
    assert load_yaml(path) == yaml.safe_load(path.read_text())
