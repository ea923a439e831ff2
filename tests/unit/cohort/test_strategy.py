import pytest
import yaml

from biocross.cohort.gate_regions import Ellipse, Polygon, Rectangle, Singlets
from biocross.cohort.strategy import (
    Gate,
    ThresholdRule,
    load_strategy,
    needs,
    own_markers,
    parse_phenotype,
)
from biocross.cohort.vocabulary import Population
from biocross.errors import ConfigError, GatingError

PARENTS = {
    "live": None,
    "leukocytes": "live",
    "lymphocytes": "leukocytes",
    "T_cells": "lymphocytes",
    "B_cells": "lymphocytes",
    "CD4_T": "T_cells",
    "Treg": "CD4_T",
}
GATED_UNDER = {"T_cells": "leukocytes", "B_cells": "leukocytes"}
VOCABULARY = {
    name: Population(name, parent, GATED_UNDER.get(name, parent))
    for name, parent in PARENTS.items()
}
MARKERS = {"CD3", "CD4", "CD19", "CD45"}
THRESHOLDS = {
    "CD45": {"method": "fixed", "value": 0.5},
    "CD3": {"method": "valley", "estimate_on": "leukocytes"},
    "CD19": {"method": "valley", "between": [0.3, 0.6]},
    "CD4": {"method": "valley", "estimate_on": "T_cells"},
    "CD4_dim": {"marker": "CD4", "method": "fixed", "value": 0.3},
}
GATES = {
    "live": {},
    "leukocytes": {"phenotype": "CD45+"},
    "T_cells": {"phenotype": "CD3+ CD19-"},
    "B_cells": {"phenotype": "CD3- CD19+"},
    "lymphocytes": {"any_of": ["T_cells", "B_cells"]},
    "CD4_T": {"phenotype": "CD4+"},
}


@pytest.fixture
def load(tmp_path):
    """Load the sound strategy with changes: a name to an entry, None to leave it out."""

    def run(thresholds=None, gates=None, markers=MARKERS, **rest):
        content = {
            "thresholds": {**THRESHOLDS, **(thresholds or {})},
            "gates": {**GATES, **(gates or {})},
            **rest,
        }
        for section in ("thresholds", "gates"):
            content[section] = {k: v for k, v in content[section].items() if v is not None}
        path = tmp_path / "gating.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return load_strategy(path, VOCABULARY, markers)

    return run


@pytest.fixture
def problems(load, tmp_path):
    """Load a strategy that must be refused, and return the lines without the file's name."""

    def run(*args, **changes):
        with pytest.raises(GatingError) as caught:
            load(*args, **changes)
        lines = str(caught.value).splitlines()
        prefix = f"{tmp_path / 'gating.yaml'}: "
        assert all(line.startswith(prefix) for line in lines)
        return [line.removeprefix(prefix) for line in lines]

    return run


def test_sound_strategy(load):
    strategy = load()
    assert strategy.scope == "patient"
    assert list(strategy.gates) == list(GATES)
    assert strategy.gates["live"] == Gate("live", "root")
    assert strategy.gates["T_cells"] == Gate(
        "T_cells", "leukocytes", (("CD3", True), ("CD19", False))
    )
    assert strategy.gates["lymphocytes"] == Gate(
        "lymphocytes", "leukocytes", any_of=("T_cells", "B_cells")
    )
    assert strategy.thresholds["CD4_dim"] == ThresholdRule("CD4_dim", "CD4", "fixed", value=0.3)
    assert strategy.thresholds["CD19"].between == (0.3, 0.6)
    assert strategy.thresholds["CD3"].marker == "CD3"


def test_scope_and_own_parent_gate(load):
    strategy = load(scope="sample", gates={"CD4_T": {"under": "leukocytes", "phenotype": "CD4+"}})
    assert strategy.scope == "sample"
    assert strategy.gates["CD4_T"].under == "leukocytes"


def test_shipped_strategies_are_sound(config_folder):
    from biocross.cohort.panel import load_panel
    from biocross.cohort.vocabulary import load_vocabulary

    vocabulary = load_vocabulary(config_folder / "populations.yaml")
    for folder in (config_folder, *sorted((config_folder / "examples").iterdir())):
        if not (folder / "gating.yaml").exists():
            continue
        markers = {channel.marker for channel in load_panel(folder / "panel.tsv")}
        strategy = load_strategy(folder / "gating.yaml", vocabulary, markers)
        assert {"live_singlets", "leukocytes", "lymphocytes"} <= set(strategy.gates)
        used = {name for gate in strategy.gates.values() for name, _ in gate.signs}
        assert set(strategy.thresholds) == used


@pytest.fixture
def config_folder(pytestconfig):
    return pytestconfig.rootpath / "config"


@pytest.mark.parametrize(
    ("phenotype", "signs"),
    [
        ("CD3+ CD19-", (("CD3", True), ("CD19", False))),
        ("  HLA-DR-   Siglec-8+ ", (("HLA-DR", False), ("Siglec-8", True))),
        ("", ()),
    ],
)
def test_parse_phenotype(phenotype, signs):
    assert parse_phenotype(phenotype) == signs


@pytest.mark.parametrize("phenotype", ["CD3", "CD3+ CD19", "+", "CD3 +", "CD3hi"])
def test_bad_word_in_a_phenotype(phenotype, problems):
    with pytest.raises(GatingError, match=r'must be a name followed by "\+" or "-"'):
        parse_phenotype(phenotype)
    (line,) = problems(gates={"T_cells": {"phenotype": phenotype}})
    assert f'in "{phenotype}" must be a name followed by "+" or "-"' in line


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"thresholds": {"CD4_dim": {"marker": "cd4", "method": "fixed", "value": 1}}},
            'threshold "CD4_dim": no marker "cd4" in the panel; did you mean "CD4"?',
        ),
        (
            {"thresholds": {"CD56": {"method": "valley"}}},
            'threshold "CD56": no marker "CD56" in the panel; did you mean "CD',
        ),
        (
            {"thresholds": {"CD4": None}},
            'gate "CD4_T" uses "CD4", which has no entry under thresholds; did you mean "CD4',
        ),
        (
            {"gates": {"Tcells": {"phenotype": "CD3+"}}},
            'gate "Tcells" is no population of the vocabulary; did you mean "T_cells"?',
        ),
        (
            {"gates": {"CD4_T": {"under": "Tcell", "phenotype": "CD4+"}}},
            'gate "CD4_T" needs "Tcell", which is not gated; did you mean "T_cells"?',
        ),
        (
            {"gates": {"lymphocytes": {"any_of": ["T_cells", "B_cell"]}}},
            'gate "lymphocytes" needs "B_cell", which is not gated; did you mean "B_cells"?',
        ),
        (
            {"thresholds": {"CD4": {"method": "valley", "estimate_on": "Tcell"}}},
            'threshold "CD4": estimate_on "Tcell" is not gated; did you mean "T_cells"?',
        ),
        (
            {"thresholds": {"CD45": {"method": "fixed"}}},
            'threshold "CD45": method fixed needs a value',
        ),
        (
            {"thresholds": {"CD19": {"method": "valley", "between": [0.6, 0.3]}}},
            'threshold "CD19": between must rise',
        ),
        (
            {"gates": {"lymphocytes": {"any_of": ["T_cells"], "phenotype": "CD45+"}}},
            'gate "lymphocytes" has a phenotype and any_of; keep one of them',
        ),
        (
            {"thresholds": {"CD3": {"method": "valey"}}},
            '"thresholds.CD3.method" is "valey"; did you mean "valley"?',
        ),
        (
            {"thresholds": {"CD3": {"method": "valley", "betwen": [0, 1]}}},
            'unknown key "betwen" in "thresholds.CD3"; did you mean "between"?',
        ),
        (
            {"gates": {"CD4_T": {"phenotyp": "CD4+"}}},
            'unknown key "phenotyp" in "gates.CD4_T"; did you mean "phenotype"?',
        ),
        (
            {"thresholds": {"CD45": {"method": "fixed", "value": "high"}}},
            '"thresholds.CD45.value" is "high", but must be a number',
        ),
        (
            {"thresholds": {"CD3": {"estimate_on": "live"}}},
            '"method" is missing in "thresholds.CD3"; please fill it in',
        ),
        ({"gate": {}}, 'unknown key "gate"; did you mean "gates"?'),
        ({"scope": "cohorts"}, '"scope" is "cohorts"; did you mean "cohort"?'),
        ({"thresholds": {"CD19": {"method": "valley", "between": [0.3]}}}, "CD19.between"),
    ],
)
def test_every_mistake_is_one_sentence(problems, changes, sentence):
    (line,) = problems(**changes)
    assert line.startswith(sentence) or sentence in line


@pytest.mark.parametrize(
    ("changes", "circle"),
    [
        ({"gates": {"live": {"under": "CD4_T"}}}, ["live", "CD4_T", "T_cells", "leukocytes"]),
        (
            {"gates": {"T_cells": {"any_of": ["lymphocytes"]}}},
            ["T_cells", "lymphocytes"],
        ),
        (
            {"thresholds": {"CD45": {"method": "valley", "estimate_on": "T_cells"}}},
            ["leukocytes", "T_cells"],
        ),
        ({"gates": {"live": {"under": "live"}}}, ["live"]),
    ],
)
def test_circle(problems, changes, circle):
    (line,) = problems(**changes)
    assert line.startswith("gates need each other in a circle: ")
    named = line.split(": ")[1].split(" -> ")
    assert named[0] == named[-1]
    assert set(named) == set(circle)


def test_all_mistakes_at_once(problems):
    lines = problems(
        thresholds={"CD45": {"method": "fixed"}, "CD4": {"method": "valley", "marker": "CD44"}},
        gates={"lymphocytes": {"any_of": ["NK"]}},
    )
    assert len(lines) == 3
    lines = problems(
        gates={"Tcells": {}, "Bcells": {}, "CD4_T": {"phenotype": "CD4"}},
    )
    assert len(lines) == 3
    lines = problems(
        thresholds={"CD3": {"method": "x"}, "CD4": {"method": "y"}}, gates={"live": {"z": 1}}
    )
    assert len(lines) == 3


@pytest.mark.parametrize("content", ["", "[]", "gates:\n", "scope: patient\n", "gates: [a]\n"])
def test_no_gates(tmp_path, content):
    path = tmp_path / "gating.yaml"
    path.write_text(content)
    with pytest.raises(GatingError, match=r"gating\.yaml: .*"):
        load_strategy(path, VOCABULARY, MARKERS)


@pytest.mark.parametrize("content", [b"gates: {a", b"gates:\n\t- x\n", b"note: \xb5\n"])
def test_not_yaml(tmp_path, content):
    path = tmp_path / "gating.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"gating\.yaml: (is not valid YAML|cannot be read)"):
        load_strategy(path, VOCABULARY, MARKERS)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"gating\.yaml: there is no such file"):
        load_strategy(tmp_path / "gating.yaml", VOCABULARY, MARKERS)


def test_names_that_yaml_takes_for_numbers(problems):
    (line,) = problems(gates={3: {"phenotype": "CD3+"}})
    assert line.startswith('gate "3" is no population of the vocabulary')


def test_needs(load):
    strategy = load()
    assert needs("live", strategy) == []
    assert needs("CD4_T", strategy) == ["T_cells", "T_cells"]
    assert set(needs("T_cells", strategy)) == {"leukocytes"}
    assert set(needs("lymphocytes", strategy)) == {"leukocytes", "T_cells", "B_cells"}


SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]
ELLIPSE = {
    "markers": ["CD3", "CD4"],
    "mean": [0.5, 0.4],
    "covariance": [[0.02, 0.01], [0.01, 0.03]],
    "distance_square": 4,
}


@pytest.mark.parametrize(
    ("entry", "region"),
    [
        (
            {"rectangle": {"CD3": [0.5, None], "CD19": [-0.1, 0.4]}},
            Rectangle(("CD3", "CD19"), (0.5, -0.1), (float("inf"), 0.4)),
        ),
        (
            {"polygon": {"markers": ["CD3", "CD4"], "vertices": SQUARE}},
            Polygon(("CD3", "CD4"), ((0, 0), (1, 0), (1, 1), (0, 1))),
        ),
        (
            {"ellipse": ELLIPSE},
            Ellipse(("CD3", "CD4"), (0.5, 0.4), ((0.02, 0.01), (0.01, 0.03)), 4),
        ),
        (
            {"quadrant": {"markers": ["CD3", "CD4"], "at": [0.5, 0.3], "which": "+-"}},
            Rectangle(("CD3", "CD4"), (0.5, -float("inf")), (float("inf"), 0.3)),
        ),
        ({"singlets": {"area": "CD3", "height": "CD4"}}, Singlets(("CD3", "CD4"), 4)),
        (
            {"singlets": {"area": "CD3", "height": "CD4", "side": "CD45", "n_mad": 3}},
            Singlets(("CD3", "CD4", "CD45"), 3),
        ),
    ],
)
def test_regions(load, entry, region):
    gate = load(gates={"Treg": {**entry, "phenotype": "CD4_dim+"}}).gates["Treg"]
    assert gate == Gate("Treg", "CD4_T", (("CD4_dim", True),), region=region)


def test_a_quadrant_of_thresholds_is_a_phenotype(load):
    entry = {"quadrant": {"thresholds": ["CD3", "CD4_dim"], "which": "-+"}}
    gate = load(gates={"Treg": entry}).gates["Treg"]
    assert gate == Gate("Treg", "CD4_T", (("CD3", False), ("CD4_dim", True)))


def test_boolean_gates(load):
    gates = load(
        gates={
            "Treg": {"under": "leukocytes", "all_of": ["T_cells", "CD4_T"], "not": "B_cells"},
            "CD4_T": {"phenotype": "CD4+", "not": ["B_cells"]},
            "lymphocytes": {"any_of": ["T_cells", "B_cells"], "not": ["CD4_T"]},
        }
    ).gates
    assert gates["Treg"] == Gate(
        "Treg", "leukocytes", all_of=("T_cells", "CD4_T"), none_of=("B_cells",)
    )
    assert gates["Treg"].parts == ("T_cells", "CD4_T", "B_cells")
    assert gates["CD4_T"].none_of == ("B_cells",)
    assert gates["CD4_T"].signs == (("CD4", True),)
    assert gates["lymphocytes"].parts == ("T_cells", "B_cells", "CD4_T")


def test_own_markers_are_of_signs_and_region(load):
    strategy = load(gates={"Treg": {"phenotype": "CD4_dim+ CD4-", "ellipse": ELLIPSE}})
    assert own_markers(strategy.gates["Treg"], strategy) == ("CD4", "CD3")


def test_needs_names_the_parts_of_boolean_gates(load):
    strategy = load(gates={"Treg": {"all_of": ["T_cells"], "not": "B_cells"}})
    assert needs("Treg", strategy) == ["CD4_T", "T_cells", "B_cells"]


def test_every_threshold_may_have_its_own_scope(load):
    thresholds = {"CD3": {"method": "mixture", "scope": "batch"}, "CD4": {"method": "fmo"}}
    strategy = load(thresholds=thresholds, scope="cohort")
    assert strategy.thresholds["CD3"].scope == "batch"
    assert strategy.thresholds["CD4"].scope == "cohort"
    assert strategy.thresholds["CD3"].method == "mixture"


def treg(**entry):
    return {"gates": {"Treg": entry}}


def polygon(*vertices, markers=("CD3", "CD4")):
    return treg(polygon={"markers": list(markers), "vertices": [list(v) for v in vertices]})


def ellipse(**changes):
    return treg(ellipse={**ELLIPSE, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (polygon((0, 0), (1, 1)), '"gates.Treg.polygon.vertices" is [[0, 0], [1, 1]]: a polygon'),
        (polygon((0, 0), (1, 1), (0, 0)), 'gate "Treg" has a polygon of 2 different corners'),
        (polygon((0, 0), (1, 1), (2, 2)), 'gate "Treg" has a polygon whose corners lie on one'),
        (polygon((0, 0), (1, "a"), (2, 2)), '"gates.Treg.polygon.vertices.1.1" is "a", but must'),
        (polygon((0, 0), (1,), (2, 2)), '"gates.Treg.polygon.vertices.1" is [1]: give two numbers'),
        (
            polygon((0, 0), (1, float("inf")), (2, 2)),
            'gate "Treg" has a polygon with a number that is not finite',
        ),
        (
            polygon(*SQUARE, markers=("CD3", "CD3")),
            'gate "Treg" has a polygon that uses "CD3" twice; its axes must differ',
        ),
        (polygon(*SQUARE, markers=("CD3",)), '"gates.Treg.polygon.markers" is'),
        (
            polygon(*SQUARE, markers=("CD3", "CD44")),
            'gate "Treg": no marker "CD44" in the panel; did you mean "CD4',
        ),
        (ellipse(covariance=[[1, 1], [1, 1]]), 'gate "Treg" has a covariance that is singular'),
        (ellipse(covariance=[[1, 2], [2, 1]]), 'gate "Treg" has a covariance that is singular'),
        (ellipse(covariance=[[0, 0], [0, 1]]), 'gate "Treg" has a covariance that is singular'),
        (ellipse(covariance=[[1, 0], [0.5, 1]]), 'gate "Treg" has a covariance that is not symm'),
        (ellipse(covariance=[[1, 0]] * 3), "whose covariance is not 2 rows of 2 numbers"),
        (ellipse(covariance=[[1, 0], [1]]), '"gates.Treg.ellipse.covariance.1" is [1]'),
        (ellipse(mean=[0, 0, 0]), 'gate "Treg" has an ellipse of 2 markers whose mean has 3'),
        (ellipse(distance_square=0), '"gates.Treg.ellipse.distance_square" is 0: must be a number'),
        (ellipse(distance=1), 'unknown key "distance" in "gates.Treg.ellipse"; did you mean'),
        (
            treg(rectangle={"CD3": [None, None]}),
            'gate "Treg" leaves CD3 open at both ends; give a number or leave it out',
        ),
        (treg(rectangle={"CD3": [0.5, 0.5]}), 'gate "Treg" has an empty range of CD3: [0.5, 0.5]'),
        (treg(rectangle={"CD3": [0.5]}), '"gates.Treg.rectangle.CD3" is [0.5]: give two numbers'),
        (treg(rectangle={"CD3": ["a", 1]}), '"gates.Treg.rectangle.CD3.0" is "a"'),
        (treg(rectangle={}), '"gates.Treg.rectangle" is {}: give a range for each marker'),
        (treg(rectangle={"CD33": [0, 1]}), 'gate "Treg": no marker "CD33" in the panel'),
        (
            treg(quadrant={"thresholds": ["CD3", "CD4"], "which": "+"}),
            '"gates.Treg.quadrant.which" is "+"; did you mean "',
        ),
        (
            treg(quadrant={"thresholds": ["CD3", "CD5"], "which": "++"}),
            'gate "Treg" uses "CD5", which has no entry under thresholds; did you mean "CD',
        ),
        (
            treg(quadrant={"markers": ["CD3", "CD4"], "which": "++"}),
            'gate "Treg" has a quadrant without "at"; give markers and the values (at)',
        ),
        (
            treg(quadrant={"at": [1, 2], "which": "++"}),
            'gate "Treg" has a quadrant without "markers"',
        ),
        (
            treg(quadrant={"which": "++"}),
            'gate "Treg" has a quadrant that names nothing; give thresholds, or markers and',
        ),
        (
            treg(quadrant={"thresholds": ["CD3", "CD4"], "at": [1, 2], "which": "++"}),
            'gate "Treg" has a quadrant with thresholds and markers; keep one of them',
        ),
        (
            treg(singlets={"area": "CD3", "height": "CD3"}),
            'gate "Treg" has a singlets that uses "CD3" twice',
        ),
        (treg(singlets={"area": "CD3"}), '"height" is missing in "gates.Treg.singlets"'),
        (treg(singlets={"area": "CD3", "height": "CD4", "n_mad": -1}), "must be a number above 0"),
        (
            treg(ellipse=ELLIPSE, rectangle={"CD3": [0, 1]}),
            'gate "Treg" has rectangle and ellipse; keep one, and gate the other under it',
        ),
        (
            treg(all_of=["T_cells"], any_of=["T_cells"]),
            'gate "Treg" has all_of and any_of; keep one of them',
        ),
        (treg(any_of=[]), '"gates.Treg.any_of" is []: give a list of names'),
        (treg(any_of="T_cells"), "\"gates.Treg.any_of\" is 'T_cells': give a list of names"),
        ({"gates": {"Treg": {"not": "Bcell"}}}, 'gate "Treg" needs "Bcell", which is not gated'),
        ({"gates": {"Treg": {"not": []}}}, '"gates.Treg.not" is []: name a population'),
        ({"gates": {"Treg": {"all_of": ["NK"]}}}, 'gate "Treg" needs "NK", which is not gated'),
        (treg(phenotype="CD4+ CD4-"), 'gate "Treg" asks for CD4+ and CD4-; no event is both'),
        (treg(phenotype="CD4?"), '"CD4" in "CD4" must be a name followed by "+" or "-"'),
        (
            {"gates": {"Treg": None, "live": [1]}},
            '"gates.live" is "[1]", but must be of type object',
        ),
        (
            {"thresholds": {"CD4 dim": {"marker": "CD4", "method": "valley"}}},
            'threshold "CD4 dim": a phenotype cannot name it because of the blank; call it',
        ),
        ({"missing_markers": "ignore"}, '"missing_markers" is "ignore"'),
        (
            {"thresholds": {"CD19": {"method": "valley", "value": 0.4}}},
            'threshold "CD19": value goes with method fixed, not with valley',
        ),
        (
            {"thresholds": {"CD45": {"method": "fixed", "value": 1, "between": [0, 1]}}},
            'threshold "CD45": method fixed has no use for between',
        ),
        (
            {"thresholds": {"CD45": {"method": "fixed", "value": float("nan")}}},
            'threshold "CD45": its numbers must be finite',
        ),
        (
            {"thresholds": {"CD19": {"method": "valley", "scope": "visit"}}},
            '"thresholds.CD19.scope" is "visit"',
        ),
    ],
)
def test_every_mistake_in_a_region_is_one_sentence(problems, changes, sentence):
    (line,) = problems(**changes)
    assert sentence in line


def test_a_bow_tie_is_a_polygon(load):
    entry = {"markers": ["CD3", "CD4"], "vertices": [[0, 0], [1, 1], [1, 0], [0, 1]]}
    assert load(gates={"Treg": {"polygon": entry}}).gates["Treg"].region


@pytest.mark.parametrize(
    "gates",
    [
        {"Treg": {"not": "Treg"}},
        {"T_cells": {"phenotype": "CD3+", "not": "CD4_T"}},
        {"T_cells": {"all_of": ["lymphocytes"]}},
    ],
)
def test_circle_of_boolean_gates(problems, gates):
    (line,) = problems(gates=gates)
    assert line.startswith("gates need each other in a circle: ")


def test_an_optional_sign_is_used_where_the_panel_has_the_marker(load):
    thresholds = {"CD25": {"method": "valley", "estimate_on": "CD4_T"}}
    gates = {"T_cells": {"phenotype": "CD3+ CD25-?"}, "Treg": {"phenotype": "CD4_dim+"}}
    without = load(thresholds, gates | {"T_cells": {"phenotype": "CD3+ CD25-? "}})
    assert without.gates["T_cells"].signs == (("CD3", True),)
    assert "CD25" not in without.thresholds
    assert without.skipped == {}
    thresholds["CD25"]["estimate_on"] = "leukocytes"
    measured = load(thresholds, gates, markers=MARKERS | {"CD25"})
    assert measured.gates["T_cells"].signs == (("CD3", True), ("CD25", False))


def test_an_optional_sign_does_not_excuse_a_required_one(problems):
    gates = {"T_cells": {"phenotype": "CD3+ CD25-?"}, "Treg": {"phenotype": "CD25+"}}
    (line,) = problems({"CD25": {"method": "valley"}}, gates)
    assert line.startswith('threshold "CD25": no marker "CD25" in the panel')


def test_a_gate_of_optional_signs_alone_is_not_the_whole_parent(problems, load):
    thresholds = {"CD25": {"method": "valley"}}
    gates = {"Treg": {"phenotype": "CD25+?"}, "lymphocytes": {"any_of": ["Treg"]}}
    (line,) = problems(thresholds, gates)
    assert line == (
        'gate "Treg": nothing of its definition is left: the panel has no CD25; leave it out, or '
        'write "missing_markers: skip"'
    )
    strategy = load(thresholds, {"Treg": {"phenotype": "CD25+?"}}, missing_markers="skip")
    assert list(strategy.skipped) == ["Treg"]


SKIP = {"missing_markers": "skip"}


def test_gates_without_their_markers_are_skipped_with_those_below(load):
    strategy = load(gates={"Treg": {"not": "B_cells"}}, markers={"CD45", "CD3", "CD19"}, **SKIP)
    assert strategy.skipped == {
        "CD4_T": "the panel has no CD4",
        "Treg": "CD4_T, which it is gated under, is skipped",
    }
    assert list(strategy.gates) == ["live", "leukocytes", "T_cells", "B_cells", "lymphocytes"]
    assert set(strategy.thresholds) == {"CD45", "CD3", "CD19"}


def test_a_union_is_skipped_with_a_part_unless_that_is_optional(load):
    markers = {"CD45", "CD19", "CD4"}
    gates = {"B_cells": {"phenotype": "CD19+"}}
    strategy = load(gates=gates, markers=markers, **SKIP)
    assert strategy.skipped["T_cells"] == "the panel has no CD3"
    assert strategy.skipped["lymphocytes"] == "T_cells is skipped"
    gates["lymphocytes"] = {"any_of": ["T_cells?", "B_cells"]}
    strategy = load(gates=gates, markers=markers, **SKIP)
    assert strategy.gates["lymphocytes"].any_of == ("B_cells",)
    assert list(strategy.skipped) == ["T_cells", "CD4_T"]
    gates["lymphocytes"] = {"any_of": ["T_cells?"]}
    strategy = load(gates=gates, markers=markers, **SKIP)
    assert "nothing of its definition is left" in strategy.skipped["lymphocytes"]
    gates["lymphocytes"] = {"any_of": ["T_cells?"], "not": "B_cells"}
    assert "lymphocytes" in load(gates=gates, markers=markers, **SKIP).skipped


def test_what_is_left_out_may_be_optional(load):
    gates = {
        "Treg": {"under": "leukocytes", "phenotype": "CD3+", "not": ["B_cells?", "CD4_T"]},
    }
    strategy = load(gates=gates, markers={"CD45", "CD3", "CD4"}, **SKIP)
    assert "T_cells" in strategy.skipped
    assert "Treg" in strategy.skipped
    gates["T_cells"] = {"phenotype": "CD3+ CD19-?"}
    strategy = load(gates=gates, markers={"CD45", "CD3", "CD4"}, **SKIP)
    assert strategy.gates["Treg"].none_of == ("CD4_T",)
    assert set(strategy.skipped) == {"B_cells", "lymphocytes"}


def test_a_region_may_lack_its_marker(load):
    gates = {"Treg": {"rectangle": {"CD25": [0.5, None]}}}
    assert load(gates=gates, **SKIP).skipped == {"Treg": "the panel has no CD25"}


def test_a_border_estimated_on_a_skipped_population_is_lost(load):
    thresholds = {"CD4": {"method": "valley", "estimate_on": "Treg"}}
    gates = {"Treg": {"under": "live", "rectangle": {"CD25": [0.5, None]}}}
    strategy = load(thresholds, gates, **SKIP)
    assert strategy.skipped["CD4_T"] == "CD4 is estimated on Treg, which is skipped"
    assert "CD4" not in strategy.thresholds
    assert "CD4_dim" in strategy.thresholds


def test_a_panel_that_can_gate_nothing_is_refused(problems):
    gates = dict.fromkeys(GATES) | {"leukocytes": {"under": "root", "phenotype": "CD45+"}}
    (line,) = problems(
        gates=gates,
        thresholds=dict.fromkeys(THRESHOLDS) | {"CD45": {"method": "valley"}},
        markers={"CD3"},
        **SKIP,
    )
    assert line == "each of the gates needs a marker that the panel lacks; nothing can be gated"
