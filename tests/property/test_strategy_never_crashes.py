"""Whatever stands in a gating strategy, it is loaded or refused in words."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.cohort.strategy import load_strategy, needs, own_markers
from biocross.cohort.vocabulary import Population
from biocross.errors import BiocrossError, GatingError
from biocross.flow.events import Events
from biocross.flow.gate_borders import FixedBorders
from biocross.flow.gate_tree import Gating

QUIET = settings(deadline=None, max_examples=150)
NAMES = ("live", "T_cells", "B_cells", "lymphocytes", "Treg")
VOCABULARY = {name: Population(name, None, "live" if name != "live" else None) for name in NAMES}
MARKERS = ("CD3", "CD4", "FSC-A")

numbers = st.one_of(st.integers(-2, 3), st.floats(), st.sampled_from([0.3, 0.5, None, "a", True]))
names = st.sampled_from([*NAMES, "T_cells?", "Tcells", "root", ""])
markers = st.sampled_from([*MARKERS, "CD8", "CD3_dim", ""])
anything = st.recursive(
    st.one_of(numbers, names, markers),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("aé +-?.", max_size=4), inner)
    ),
    max_leaves=6,
)
phenotypes = st.lists(
    st.tuples(markers, st.sampled_from(["+", "-", "+?", "-?", "", "?"])).map("".join), max_size=3
).map(" ".join)


def listed(values, longest=4):
    return st.lists(values, max_size=longest)


def sometimes(entry):
    """Return an entry as it should be, mostly."""
    return st.one_of(entry, entry, entry, anything)


entries = st.fixed_dictionaries(
    {},
    optional={
        "under": sometimes(names),
        "phenotype": sometimes(phenotypes),
        "any_of": sometimes(listed(names)),
        "all_of": sometimes(listed(names)),
        "not": sometimes(names | listed(names)),
        "rectangle": sometimes(st.dictionaries(markers, listed(numbers, 2), max_size=2)),
        "polygon": sometimes(
            st.fixed_dictionaries(
                {"markers": listed(markers, 3), "vertices": listed(listed(numbers, 2), 5)}
            )
        ),
        "ellipse": sometimes(
            st.fixed_dictionaries(
                {
                    "markers": listed(markers, 3),
                    "mean": listed(numbers, 3),
                    "covariance": listed(listed(numbers, 3), 3),
                    "distance_square": numbers,
                }
            )
        ),
        "quadrant": sometimes(
            st.fixed_dictionaries(
                {"which": st.sampled_from(["++", "+-", "-", "--"])},
                optional={
                    "thresholds": listed(markers, 2),
                    "markers": listed(markers, 2),
                    "at": listed(numbers, 2),
                },
            )
        ),
        "singlets": sometimes(
            st.fixed_dictionaries({"area": markers, "height": markers, "n_mad": numbers})
        ),
    },
)
thresholds = st.fixed_dictionaries(
    {"method": st.sampled_from(["valley", "mixture", "tail", "fmo", "fixed", "x"])},
    optional={
        "marker": markers,
        "estimate_on": names,
        "value": numbers,
        "between": listed(numbers, 2),
        "scope": st.sampled_from(["patient", "batch", "cohort", "sample", 3]),
    },
)
strategies = st.fixed_dictionaries(
    {"gates": sometimes(st.dictionaries(names, sometimes(entries), max_size=4))},
    optional={
        "thresholds": sometimes(st.dictionaries(markers, sometimes(thresholds), max_size=4)),
        "scope": sometimes(st.sampled_from(["patient", "sample"])),
        "missing_markers": sometimes(st.sampled_from(["error", "skip"])),
    },
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("strategy") / "gating.yaml"


@QUIET
@given(content=strategies)
def test_a_strategy_is_loaded_or_refused_in_words(path, content):
    path.write_text(yaml.safe_dump(content))
    try:
        strategy = load_strategy(path, VOCABULARY, set(MARKERS))
    except BiocrossError as error:
        for line in str(error).split("\n"):
            assert line.startswith(str(path))
            assert "Traceback" not in line
        return
    gate_with(strategy)


def gate_with(strategy):
    """Gate a few events by a strategy that was loaded: every name that it needs is there."""
    for name, gate in strategy.gates.items():
        assert set(needs(name, strategy)) <= set(strategy.gates)
        assert set(own_markers(gate, strategy)) <= set(MARKERS)
        assert name not in strategy.skipped
    random = np.random.default_rng(0)
    values = {marker: random.random(60).astype("f4") for marker in MARKERS}
    events = Events(values, np.zeros(60, np.uint8), {"sample_id": "S", "tissue": ""})
    gating = Gating([events], strategy, FixedBorders(dict.fromkeys(strategy.thresholds, 0.5)))
    for name, gate in strategy.gates.items():
        assert gating.reasons(name) == [""]
        assert set(gating.members(name)[0]) <= set(gating.members(gate.under)[0])


present = st.sampled_from(["T_cells", "B_cells", "lymphocytes?", "Treg?"])
some = st.lists(present, min_size=1, max_size=2)
signs = st.lists(
    st.tuples(st.sampled_from(["CD3", "CD8", "CD4"]), st.sampled_from(["+", "-", "+?", "-?"])),
    min_size=1,
    max_size=3,
    unique_by=lambda sign: sign[0],
).map(lambda found: " ".join(map("".join, found)))
number = st.floats(0, 1)
ranges = st.tuples(number, number).map(lambda pair: [min(pair), max(pair) + 0.1])
regions = st.one_of(
    st.dictionaries(st.sampled_from(["CD3", "CD4", "CD8"]), ranges, min_size=1, max_size=2).map(
        lambda found: {"rectangle": found}
    ),
    st.lists(st.lists(number, min_size=2, max_size=2), min_size=3, max_size=5).map(
        lambda found: {"polygon": {"markers": ["CD3", "CD4"], "vertices": found}}
    ),
    st.just({"singlets": {"area": "FSC-A", "height": "CD3"}}),
    st.just({"quadrant": {"thresholds": ["CD3", "CD4"], "which": "+-"}}),
)
sound_entries = st.one_of(
    st.builds(lambda words: {"phenotype": words}, signs),
    st.builds(lambda names: {"any_of": names}, some),
    st.builds(lambda names, without: {"all_of": names, "not": without}, some, present),
    st.builds(lambda words, without: {"phenotype": words, "not": without}, signs, some),
    regions,
)


@QUIET
@given(
    entries=st.dictionaries(st.sampled_from(NAMES[1:]), sound_entries, min_size=2, max_size=4),
    estimate_on=st.sampled_from(["root", "live", "T_cells"]),
    missing=st.sampled_from(["error", "skip", "skip"]),
)
def test_a_strategy_of_sound_gates_can_be_applied(path, entries, estimate_on, missing):
    """Or it goes in a circle, or names what is not there."""
    content = {
        "missing_markers": missing,
        "thresholds": {
            "CD3": {"method": "valley"},
            "CD4": {"method": "tail", "estimate_on": estimate_on},
            "CD8": {"method": "fixed", "value": 0.5},
        },
        "gates": {"live": {"under": "root"}, **entries},
    }
    path.write_text(yaml.safe_dump(content))
    refused = ""
    try:
        strategy = load_strategy(path, VOCABULARY, set(MARKERS))
    except GatingError as error:
        refused = str(error)
    words = ("circle", "is not gated", "no marker", "the panel has no", "lie on one line")
    words += ("different corners",)
    for line in refused.splitlines():
        assert any(word in line for word in words)
    if refused:
        return
    gate_with(strategy)
    if missing == "error":
        assert not strategy.skipped
