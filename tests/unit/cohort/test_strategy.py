import pytest
import yaml

from biocross.cohort.strategy import Gate, ThresholdRule, load_strategy, needs, parse_phenotype
from biocross.cohort.vocabulary import Population
from biocross.errors import ConfigError, GatingError

PARENTS = {
    "live": None,
    "leukocytes": "live",
    "lymphocytes": "leukocytes",
    "T_cells": "lymphocytes",
    "B_cells": "lymphocytes",
    "CD4_T": "T_cells",
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

    def run(thresholds=None, gates=None, **rest):
        content = {
            "thresholds": {**THRESHOLDS, **(thresholds or {})},
            "gates": {**GATES, **(gates or {})},
            **rest,
        }
        for section in ("thresholds", "gates"):
            content[section] = {k: v for k, v in content[section].items() if v is not None}
        path = tmp_path / "gating.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return load_strategy(path, VOCABULARY, MARKERS)

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
        ({"scope": "cohort"}, '"scope" is "cohort"'),
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
