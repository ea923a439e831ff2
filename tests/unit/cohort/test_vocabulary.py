import pytest
import yaml

from biocross.cohort.markers import marker_synonyms
from biocross.cohort.vocabulary import (
    ANCHOR_POPULATIONS,
    container,
    counted_parent,
    lies_within,
    load_vocabulary,
    within,
)
from biocross.errors import ConfigError
from biocross.tables import read_rows

# The 42 populations of the reference, by their denominator.
REFERENCE = {
    "live_singlets": ["leukocytes"],
    "leukocytes": [
        *("neutrophils", "eosinophils", "basophils", "monocytes", "dendritic_cells"),
        *("progenitors", "lymphocytes"),
    ],
    "eosinophils": ["eosinophils_CD62Llow"],
    "monocytes": ["monocytes_classical", "monocytes_intermediate", "monocytes_nonclassical"],
    "dendritic_cells": ["pDC", "cDC2"],
    "lymphocytes": [
        *("B_cells", "NK_cells", "T_cells", "ILC", "ILC2", "ILC1_like", "ILC3_ILCP"),
    ],
    "B_cells": ["B_naive", "B_memory", "plasmablasts"],
    "NK_cells": ["NK_bright", "NK_dim"],
    "T_cells": ["gd_T", "MAIT", "CD4_T", "CD8_T"],
    "CD4_T": [
        *("CD4_naive", "CD4_memory", "Treg", "Th1", "Th17", "Th2", "Th2_pathogenic"),
    ],
    "CD8_T": ["CD8_naive", "CD8_effector", "Tc2"],
    "ILC2": ["ILC2_CD117low", "ILC2_CD117high"],
}
# Where the reference gates from something else than the denominator. Lymphocytes are the union of
# their parts, so that those are gated from leukocytes.
GATED_UNDER = {
    **dict.fromkeys(["T_cells", "B_cells", "NK_cells", "ILC"], "leukocytes"),
    **dict.fromkeys(["ILC2", "ILC1_like", "ILC3_ILCP"], "ILC"),
    **dict.fromkeys(["Th1", "Th17", "Th2"], "CD4_memory"),
    "Th2_pathogenic": "Th2",
}


@pytest.fixture(scope="module")
def shipped(pytestconfig):
    return load_vocabulary(pytestconfig.rootpath / "config" / "populations.yaml")


@pytest.fixture
def write(tmp_path):
    def run(**populations):
        path = tmp_path / "populations.yaml"
        entries = {name: {"flow": "x", **entry} for name, entry in populations.items()}
        path.write_text(yaml.safe_dump(entries, sort_keys=False))
        return path

    return run


@pytest.fixture
def problems(write, tmp_path):
    def run(**populations):
        with pytest.raises(ConfigError) as caught:
            load_vocabulary(write(**populations))
        lines = str(caught.value).splitlines()
        prefix = f"{tmp_path / 'populations.yaml'}: "
        assert all(line.startswith(prefix) for line in lines)
        return [line.removeprefix(prefix) for line in lines]

    return run


def test_shipped_populations_are_those_of_the_reference(shipped):
    parents = {name: parent for parent, names in REFERENCE.items() for name in names}
    assert len(parents) == 42
    assert {name: entry.parent for name, entry in shipped.items()} == {
        "live_singlets": None,
        **parents,
    }


def test_shipped_gates_start_where_the_reference_says(shipped):
    gated = {
        name: entry.gated_under
        for name, entry in shipped.items()
        if entry.gated_under != entry.parent
    }
    assert gated == GATED_UNDER


def test_shipped_questions_and_anchors(shipped):
    primary = {name for name, entry in shipped.items() if entry.primary}
    assert primary == {"eosinophils", "ILC2", "Th2", "Tc2"}
    assert primary <= {name for name, entry in shipped.items() if entry.inflammatory}
    granulocytes = {"neutrophils", "eosinophils", "eosinophils_CD62Llow"}
    assert {name for name, e in shipped.items() if e.not_measured_in == ("pbmc",)} == granulocytes
    anchors = {entry.absolute_anchor for entry in shipped.values()} - {None}
    assert anchors == {"lymphocytes_per_ul", "monocytes_per_ul"}
    assert anchors < set(ANCHOR_POPULATIONS)
    assert set(ANCHOR_POPULATIONS.values()) <= set(shipped)
    for name, entry in shipped.items():
        if lies_within(name, "lymphocytes", shipped):
            assert entry.absolute_anchor == "lymphocytes_per_ul", name


def test_defaults(write):
    vocabulary = load_vocabulary(
        write(A={"parent": None}, B={"parent": "A", "not_measured_in": ["pbmc", "bal"]})
    )
    assert list(vocabulary) == ["A", "B"]
    assert vocabulary["A"].gated_under is None
    assert vocabulary["B"].gated_under == "A"
    assert vocabulary["B"].not_measured_in == ("pbmc", "bal")
    assert not vocabulary["B"].primary


def test_unknown_parent(problems):
    assert problems(leukocytes={"parent": None}, T={"parent": "leucocytes"}) == [
        'parent of T is "leucocytes", no population; did you mean "leukocytes"?'
    ]
    assert problems(A={"parent": None}, B={"parent": "A", "gated_under": "X"}) == [
        'gated_under of B is "X", no population; known are: A, B'
    ]


@pytest.mark.parametrize(
    ("populations", "sentence"),
    [
        ({"A": {"parent": "A"}}, "parent goes in a circle: A -> A"),
        (
            {"A": {"parent": "B"}, "B": {"parent": "C"}, "C": {"parent": "A"}},
            "parent goes in a circle: A -> B -> C -> A",
        ),
        (
            {"R": {"parent": None}, "A": {"parent": "R", "gated_under": "B"}, "B": {"parent": "A"}},
            "gated_under goes in a circle: A -> B -> A",
        ),
        (
            {"A": {"parent": "B"}, "B": {"parent": "C"}, "C": {"parent": "B"}},
            "parent goes in a circle: A -> B -> C -> B",
        ),
    ],
)
def test_circle(problems, populations, sentence):
    assert problems(**populations) == [sentence]


def test_schema_violations_all_at_once(problems):
    lines = problems(A={"parent": None, "parnet": "x"}, B={}, C={"parent": "A", "primary": "yes"})
    assert lines == [
        'unknown key "parnet" in "A"; did you mean "parent"?',
        '"parent" is missing in "B"; please fill it in',
        '"C.primary" is "yes", but must be of type boolean',
    ]


@pytest.mark.parametrize("content", ["", "[]", "- A\n", "text"])
def test_not_a_mapping(tmp_path, content):
    path = tmp_path / "populations.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match="must map population names"):
        load_vocabulary(path)


def test_missing_or_broken_file(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: there is no such file"):
        load_vocabulary(tmp_path / "gone.yaml")
    path = tmp_path / "broken.yaml"
    path.write_text("A: {parent: [}\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml: is not valid YAML: .*line 1"):
        load_vocabulary(path)


@pytest.mark.parametrize(
    ("name", "counted", "parent"),
    [
        ("ILC2", {"lymphocytes", "leukocytes", "ILC"}, "lymphocytes"),
        ("Th2", {"CD4_memory", "CD4_T"}, "CD4_T"),
        ("Th2", {"T_cells", "leukocytes"}, "T_cells"),
        ("Th2", {"live_singlets", "Th2"}, "live_singlets"),
        ("Th2", set(), None),
        ("live_singlets", {"live_singlets", "leukocytes"}, None),
    ],
)
def test_counted_parent_is_the_nearest_biological_ancestor(shipped, name, counted, parent):
    assert counted_parent(name, shipped, counted) == parent


@pytest.mark.parametrize(
    ("name", "counted", "holder"),
    [
        ("ILC2", {"lymphocytes", "ILC", "leukocytes"}, "ILC"),
        ("ILC2", {"lymphocytes", "leukocytes"}, "lymphocytes"),
        ("T_cells", {"lymphocytes", "leukocytes"}, "lymphocytes"),
        ("T_cells", {"leukocytes"}, "leukocytes"),
        ("Th2_pathogenic", {"Th2", "CD4_T"}, "Th2"),
        ("Th2", {"T_cells"}, "T_cells"),
        ("live_singlets", {"leukocytes"}, None),
        ("not in the vocabulary", {"leukocytes"}, None),
    ],
)
def test_container_is_the_narrowest_counted_population(shipped, name, counted, holder):
    assert container(name, shipped, counted) == holder


def test_lies_within(shipped):
    assert lies_within("Th2", "leukocytes", shipped)
    assert lies_within("Th2", "Th2", shipped)
    assert not lies_within("leukocytes", "Th2", shipped)
    assert not lies_within("monocytes", "lymphocytes", shipped)
    assert not lies_within("ILC2", "ILC", shipped)


def test_phenotype_is_read(write):
    vocabulary = load_vocabulary(
        write(A={"parent": None}, B={"parent": "A", "phenotype": "CD3+ CD19->CD20-?"})
    )
    assert vocabulary["A"].phenotype == ()
    assert [word.markers for word in vocabulary["B"].phenotype] == [("CD3",), ("CD19", "CD20")]


def test_every_unreadable_phenotype_is_named(problems):
    lines = problems(
        A={"parent": None, "phenotype": "CD45"},
        B={"parent": "A", "phenotype": "CD3+ CD3-"},
        C={"parent": "A", "phenotype": "CD3+"},
    )
    assert lines == [
        'phenotype of A: "CD45" must be a marker followed by -, lo, + or hi, such as CD3+; markers '
        'are joined by "/" (either) or ">" (the first in the panel)',
        'phenotype of B: "CD3+ CD3-" asks for CD3- and CD3+; no cell is both',
    ]


def test_shipped_phenotypes_leave_out_unions_alone(shipped):
    without = {name for name, entry in shipped.items() if not entry.phenotype}
    assert without == {"live_singlets", "lymphocytes"}


def test_shipped_phenotypes_use_known_markers_that_no_drug_masks(shipped, pytestconfig):
    markers = {m for entry in shipped.values() for word in entry.phenotype for m in word.markers}
    known = {marker.standard for marker in marker_synonyms().values()} | {"SSC-A"}
    assert markers <= known
    drugs = read_rows(pytestconfig.rootpath / "config" / "drug_markers.tsv")
    masked = {row["marker"] for row in drugs if row["effect"] == "masked"}
    assert masked
    assert not markers & masked


def test_what_holds_a_population_is_told_from_the_inside_out(shipped):
    assert [*within("Th2", shipped)][:3] == ["Th2", "CD4_memory", "CD4_T"]
    assert [*within("ILC2_CD117low", shipped)][:4] == [
        "ILC2_CD117low",
        "ILC2",
        "ILC",
        "lymphocytes",
    ]
    assert [*within("live_singlets", shipped)] == ["live_singlets"]
