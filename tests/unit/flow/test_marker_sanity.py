import itertools

import numpy as np
import pytest

from biocross.cohort.panel import Channel, load_panel
from biocross.flow.compensation import compensate
from biocross.flow.events import Events
from biocross.flow.fcs import read_fcs
from biocross.flow.marker_rules import RULES
from biocross.flow.marker_sanity import (
    SANITY_COLUMNS,
    call_positives,
    find_exchanges,
    judge_rules,
    pool_samples,
    sanity_rows,
    sanity_warnings,
)
from biocross.tables import read_rows, write_rows

# Share of the events, and level of the markers that the cells bear (elsewhere 0.2).
CELLS = {
    "neutrophil": (0.50, {"CD45": 0.6, "CD16": 0.85, "SSC-A": 0.8}),
    "monocyte": (0.08, {"CD45": 0.7, "CD14": 0.8, "CD4": 0.45, "SSC-A": 0.5}),
    "CD4_T": (0.18, {"CD45": 0.8, "CD3": 0.75, "CD4": 0.8}),
    "CD8_T": (0.10, {"CD45": 0.8, "CD3": 0.75, "CD8a": 0.8}),
    "B": (0.05, {"CD45": 0.8, "CD19": 0.75}),
    "NK": (0.05, {"CD45": 0.8, "CD56": 0.7, "CD16": 0.75, "CD8a": 0.45}),
    "debris": (0.04, {}),
}
MARKERS = ("CD45", "CD3", "CD4", "CD8a", "CD14", "CD16", "CD19", "CD56")
PANEL = [
    Channel("SSC-A", "SSC-A", "scatter"),
    *(Channel(f"{marker}-A", marker, "lineage") for marker in MARKERS),
    Channel("eFluor780-A", "Live/Dead", "viability"),
]


def draw(seed=0, n=8000, without=(), name="S1"):
    """Events of a blood sample in which 4 % of the cells are dead."""
    random = np.random.default_rng(seed)
    shares = np.array([0.0 if kind in without else share for kind, (share, _) in CELLS.items()])
    kinds = random.choice(len(CELLS), n, p=shares / shares.sum())
    values = {}
    for marker in (*MARKERS, "SSC-A"):
        levels = np.array([bearing.get(marker, 0.2) for _, bearing in CELLS.values()])
        values[marker] = (levels[kinds] + random.normal(0, 0.05, n)).astype(np.float32)
    dead = random.random(n) < 0.04
    values["Live/Dead"] = (0.2 + 0.6 * dead + random.normal(0, 0.05, n)).astype(np.float32)
    return Events(values, np.zeros(n, dtype=np.uint8), {"sample_id": name})


def swapped(sample, first, second):
    values = dict(sample.values)
    values[first], values[second] = values[second], values[first]
    return sample._replace(values=values)


def suspects(rows):
    found = {row["suspects"] for row in rows if row["status"] == "broken"}
    assert len(found) <= 1
    return found.pop() if found else None


def test_a_sound_sample_breaks_no_rule():
    rows = sanity_rows(draw(), PANEL)
    assert {row["status"] for row in rows} == {"kept"}
    assert len(rows) > 25
    assert sanity_warnings(rows) == []
    assert all(set(row) == set(SANITY_COLUMNS) for row in rows)


def test_nearly_every_swap_is_named():
    """All pairs of the eight lineage markers and the viability dye."""
    columns = (*MARKERS, "Live/Dead")
    found = {
        pair: suspects(sanity_rows(swapped(draw(), *pair), PANEL))
        for pair in itertools.combinations(columns, 2)
    }
    wrong = {
        pair: names
        for pair, names in found.items()
        if names and not any({*pair} == {*name.split(" with ")} for name in names.split(" or "))
    }
    assert wrong == {}
    # A dye on 4 % of all cells looks like a lineage without partners.
    missed = {pair for pair, names in found.items() if names is None}
    assert all("Live/Dead" in pair for pair in missed)
    assert len(missed) <= 2


@pytest.mark.parametrize(
    "pair", [("CD3", "CD19"), ("CD4", "CD8a"), ("CD14", "CD16"), ("CD45", "Live/Dead")]
)
def test_the_usual_swaps_are_named_alone(pair):
    rows = sanity_rows(swapped(draw(seed=3), *pair), PANEL)
    assert set(str(suspects(rows)).split(" with ")) == set(pair)
    (sentence,) = sanity_warnings(rows)
    assert f"exchanged: {suspects(rows)}" in sentence
    assert "1 of 1 samples (S1)" in sentence
    assert "panel.tsv" in sentence


@pytest.mark.parametrize(
    "without",
    [("neutrophil",), ("B",), ("NK",), ("monocyte",), ("B", "NK"), ("CD8_T",), ("CD4_T", "CD8_T")],
)
def test_missing_cells_are_no_swap(without):
    """PBMC, rituximab and the like: rules about few cells are not judged."""
    rows = sanity_rows(draw(without=without), PANEL)
    assert [row["rule"] for row in rows if row["status"] == "broken"] == []


def test_doublets_and_sticky_dead_cells_are_no_swap():
    sample = draw(seed=5, n=12_000)
    random = np.random.default_rng(5)
    first, second = random.integers(0, 12_000, (2, 1200))  # 10 % of the events
    values = {
        m: np.concatenate([v, np.maximum(v[first], v[second])]) for m, v in sample.values.items()
    }
    dead = values["Live/Dead"] > 0.5
    for marker in MARKERS:
        values[marker] = values[marker] + np.float32(0.4) * dead * random.random(dead.size).astype(
            "f4"
        )
    sticky = Events(values, np.zeros(dead.size, dtype=np.uint8), sample.meta)
    assert suspects(sanity_rows(sticky, PANEL)) is None


def test_dim_spill_into_another_dye_is_no_swap():
    """T cells seem to bear a little CD19, above the valley and far below B cells."""
    sample = draw()
    spilt = sample.values["CD19"] + np.float32(0.35) * (sample.values["CD3"] - np.float32(0.2))
    rows = sanity_rows(sample._replace(values={**sample.values, "CD19": spilt}), PANEL)
    assert [row["rule"] for row in rows if row["status"] == "broken"] == []
    assert {row["status"] for row in rows if row["rule"].startswith("CD3 and CD19")} == {"kept"}


def half_normal(random):
    return np.abs(random.normal(0, 0.2, 8000))


def rippled(random):
    """Two humps with a valley between them that is hardly one (depth 0.2)."""
    return random.normal(0.2, 0.1, 8000) + 0.27 * (random.random(8000) < 0.45)


@pytest.mark.parametrize("smear", [half_normal, rippled])
def test_a_smear_is_not_judged(smear):
    sample = draw()
    column = smear(np.random.default_rng(1)).astype(np.float32)
    rows = sanity_rows(sample._replace(values={**sample.values, "CD3": column}), PANEL)
    about = [row for row in rows if "CD3" in (row["marker_1"], row["marker_2"])]
    assert about
    assert {row["status"] for row in about} == {"not_judged"}
    assert suspects(rows) is None


def test_flagged_events_are_not_looked_at():
    sound, bad = draw(seed=1), swapped(draw(seed=2), "CD3", "CD19")
    values = {m: np.concatenate([sound.values[m], bad.values[m]]) for m in sound.values}
    quality = np.repeat(np.array([0, 3], dtype=np.uint8), 8000)
    both = Events(values, quality, sound.meta)
    assert sanity_rows(both, PANEL) == sanity_rows(sound, PANEL)


def test_what_no_exchange_explains_is_said():
    """All T cells bear CD14: bad compensation, not a swap."""
    sample = draw()
    spilt = sample.values["CD14"] + (sample.values["CD3"] - np.float32(0.2))
    rows = sanity_rows(sample._replace(values={**sample.values, "CD14": spilt}), PANEL)
    (sentence,) = sanity_warnings(rows)
    assert "CD3+ and CD14+" in sentence
    assert "no single exchange" in sentence
    assert "compensation" in sentence


def test_a_swap_in_one_file_names_that_file(tmp_path):
    samples = [draw(seed, name=f"S{seed}") for seed in range(4)]
    samples[2] = swapped(samples[2], "CD3", "CD19")
    rows = [row for sample in samples for row in sanity_rows(sample, PANEL)]
    write_rows(tmp_path / "sanity.tsv", SANITY_COLUMNS, rows)
    (sentence,) = sanity_warnings(read_rows(tmp_path / "sanity.tsv"))
    assert "1 of 4 samples (S2)" in sentence
    assert "in these files" in sentence


def test_a_pool_is_judged_where_single_files_are_too_small():
    small = [swapped(draw(seed, n=300, name=f"S{seed}"), "CD3", "CD19") for seed in range(20)]
    assert sum(suspects(sanity_rows(sample, PANEL)) == "CD3 with CD19" for sample in small) < 20
    pool = pool_samples(small)
    assert pool.quality.size == 6000
    assert suspects(sanity_rows(pool, PANEL)) == "CD3 with CD19"


def test_names_are_standardised_and_shown_as_the_panel_writes_them():
    rows = sanity_rows(draw(), PANEL)
    assert {"CD8a", "Live/Dead"} <= {row["marker_1"] for row in rows}


def test_a_panel_without_known_markers_has_no_rules():
    panel = [Channel("FL1", "unheard of", "lineage")]
    sample = Events(
        {"unheard of": np.zeros(100, dtype=np.float32)},
        np.zeros(100, dtype=np.uint8),
        {"sample_id": "S"},
    )
    assert sanity_rows(sample, panel) == []


def test_an_empty_sample_is_judged_by_nothing():
    rows = sanity_rows(draw()._replace(quality=np.ones(8000, dtype=np.uint8)), PANEL)
    assert {row["status"] for row in rows} == {"not_judged"}


def test_exchanging_back_restores_every_verdict():
    sample = draw()
    values = {
        ("CD8" if m == "CD8a" else m): v for m, v in sample.values.items() if m != "Live/Dead"
    }
    columns = call_positives(values)
    exchanged = {**columns, "CD3": columns["CD19"], "CD19": columns["CD3"]}
    assert find_exchanges(exchanged, fixed=("SSC-A",)) == [("CD3", "CD19")]
    assert find_exchanges(columns, fixed=("SSC-A",)) == []
    assert not any(verdict.is_broken for verdict in judge_rules(columns))


def test_rules_are_told_apart_by_their_names():
    names = [(rule.name, rule.others) for rule in RULES]
    assert len(set(names)) == len(names)


def load_arcsinh(path, panel, cofactor, name):
    """Read and compensate a file; arcsinh keeps this test free of the cohort's transforms."""
    file = read_fcs(path)
    events = file.events
    if file.spillover is not None and cofactor > 100:
        events = compensate(events, file.channels, file.spillover)
    values = {}
    for channel in panel:
        column = events[:, file.channels.index(channel.channel)]
        scaled = np.arcsinh(column / np.float32(cofactor)) if channel.is_signal else column
        values[channel.marker] = np.asarray(scaled, dtype=np.float32)
    return Events(values, np.zeros(len(events), dtype=np.uint8), {"sample_id": name})


def test_the_demo_is_sound_and_its_swaps_are_found(tmp_path, repository):
    from biocross.simulate.flow.cohort import simulate_cohort
    from biocross.simulate.sheets import write_sheets

    study = repository / "config" / "simulation" / "demo.yaml"
    few = {
        "visits": {"month_12": None},
        "missing_follow_ups": 0,
        "treatments": {"mepolizumab": {"patients": 3}, "dupilumab": {"patients": 2}},
    }
    write_sheets(study, tmp_path, 11, few)
    sheets = (tmp_path / "samples.tsv", tmp_path / "patients.tsv")
    simulate_cohort(study, *sheets, tmp_path, 11, few)
    panel = load_panel(tmp_path / "panel.tsv")
    samples = [
        load_arcsinh(tmp_path / row["path"], panel, 150, row["sample_id"])
        for row in read_rows(sheets[0])
    ]
    for sample in samples:
        assert suspects(sanity_rows(sample, panel)) is None, sample.meta
    for pair in (("CD3", "CD19"), ("CD4", "CD8"), ("CD45", "viability"), ("CD3", "CD45")):
        named = [suspects(sanity_rows(swapped(s, *pair), panel)) for s in samples]
        # Where CD127 has no valley it is beyond telling from CD4.
        right = [
            any({*pair} == {*name.split(" with ")} for name in str(names).split(" or "))
            for names in named
        ]
        assert sum(right) >= 9, (pair, named)


@pytest.mark.data
def test_bcr_xl_is_sound(test_data, repository):
    panel = load_panel(repository / "config" / "examples" / "bcr_xl" / "panel.tsv")
    paths = sorted((test_data / "bcr_xl").glob("*.fcs"))
    samples = [load_arcsinh(path, panel, 5, path.stem) for path in paths]
    assert len(samples) == 16
    for sample in [*samples, pool_samples(samples)]:
        assert suspects(sanity_rows(sample, panel)) is None, sample.meta
    exchanged = pool_samples([swapped(sample, "CD3", "CD20") for sample in samples])
    assert suspects(sanity_rows(exchanged, panel)) is not None


@pytest.fixture
def repository():
    from pathlib import Path

    return Path(__file__).parents[3]


def test_t_and_b_cells_that_stick_are_no_swap():
    """Pairs of the two, as many as a half of the B cells."""
    sample = draw()
    b_cells = np.flatnonzero(sample.values["CD19"] > 0.5)
    stuck = b_cells[: b_cells.size // 2]
    for marker, level in (("CD3", 0.75), ("CD4", 0.8)):
        sample.values[marker][stuck] = level
    (sentence,) = sanity_warnings(sanity_rows(sample, PANEL))
    assert "T and B cells that stick together" in sentence
    assert "exchanged" not in sentence
