import pytest

from biocross.cohort.markers import (
    SYNONYMS,
    channel_kind,
    find_marker,
    is_mass_channel,
    marker_synonyms,
    standard_marker,
)
from biocross.cohort.sheets import load_schema
from biocross.tables import read_rows


@pytest.mark.parametrize(
    ("label", "marker"),
    [
        ("CD3 BV421-A", "CD3"),
        ("BV421-A :: CD3", "CD3"),
        ("CD56 PE-CF594", "CD56"),
        ("PE-Cy7-A CD62L", "CD62L"),
        ("CD4_PerCP-Cy5.5", "CD4"),
        ("anti-human CD19", "CD19"),
        ("CD196 (CCR6) BV650", "CCR6"),
        ("HLADR", "HLA-DR"),
        ("HLA DR BV786", "HLA-DR"),
        ("CD294", "CRTH2"),
        ("PTGDR2", "CRTH2"),
        ("IL7R", "CD127"),
        ("SIGLEC8", "Siglec-8"),
        ("TCRγδ", "TCRgd"),
        ("CD279", "PD-1"),
        ("CD3(110:114)Dd", "CD3"),
        ("CD45RA(Nd143)Dd", "CD45RA"),
        ("141Pr_CD3", "CD3"),
        ("pS6(Yb172)Dd", "pS6"),
        ("Live/Dead Yellow-A", "viability"),
        ("Zombie NIR", "viability"),
        ("Viab", "viability"),
        ("l/d", "viability"),
        ("CD14/CD19", "CD14_CD19"),
    ],
)
def test_standard_name(label, marker):
    assert standard_marker(label) == marker


@pytest.mark.parametrize(
    "label",
    [
        *("FITC-A", "PerCP-Cy5-5-A", "Pacific Blue-A", "B710-A", "FL1-H", "BUV395-A", ""),
        *("Nd142Di", "(110:114)Dd", "(In115)Dd", "Qdot 605-A", "Alexa Fluor 700-A", "APC-e780-A"),
    ],
)
def test_a_dye_or_metal_is_no_marker(label):
    assert standard_marker(label) == ""


def test_an_unknown_marker_keeps_its_name_without_the_dye():
    assert find_marker("Marker7 BV421-A") == ("Marker7", None)


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("CD3", "lineage"),
        ("STAT5", "state"),
        ("CD69", "state"),
        ("Aqua", "viability"),
        ("CD3 CD14 CD19", "dump"),
        ("DNA-1", "dna"),
        ("BC3", "barcode"),
    ],
)
def test_kind(label, kind):
    assert find_marker(label)[1] == kind


@pytest.mark.parametrize(
    ("channel", "kind"),
    [
        ("FSC-A", "scatter"),
        ("SSC-B-A", "scatter"),
        ("FS INT", "scatter"),
        ("Time", "time"),
        ("Cell_length", "event_length"),
        ("Residual", "gaussian"),
        ("Ir191Di", "dna"),
        ("PE-A", None),
    ],
)
def test_kind_by_channel(channel, kind):
    assert channel_kind(channel) == kind


def test_mass_channels():
    assert all(is_mass_channel(name) for name in ("Nd142Di", "CD3(110:114)Dd", "(In115)Dd"))
    assert not any(is_mass_channel(name) for name in ("CD45", "V450-A", "PE-A"))


def test_the_table_has_no_synonym_twice_and_only_kinds_of_the_panel():
    rows = read_rows(SYNONYMS)
    assert sum(row["kind"] in ("lineage", "state") for row in rows) >= 120
    assert {row["kind"] for row in rows} <= set(load_schema("panel")["properties"]["kind"]["enum"])
    names = [
        "".join(c for c in name.casefold() if c.isalnum())
        for row in rows
        for name in (row["standard"], *row["synonyms"].split(","))
        if name.strip()
    ]
    assert [name for name in set(names) if names.count(name) > 1] == []
    assert all(standard_marker(row["standard"]) == row["standard"] for row in rows)
    assert len(marker_synonyms()) == len(names)
