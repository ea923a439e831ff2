import json
from itertools import product

import numpy as np
import pytest

from biocross.errors import ConfigError, DesignError
from biocross.flow.events import read_events
from biocross.flow.normalisation.earth_movers import largest_distance
from biocross.flow.normalisation.functions import load_functions
from biocross.flow.normalisation.normalise import normalise_flow_sample


def normalised(study):
    """Normalise all samples; return by row the values after."""
    for path, batch, *_ in study.rows:
        normalise_flow_sample(path, study.functions, batch, study.folder / "out" / path.name)
    return {path: study.values(study.folder / "out" / path.name) for path, *_ in study.rows}


def batch_distance(study, values, visit="V0"):
    """Mean over true populations and markers of the largest distance between batches."""
    found = []
    for population, marker in product(range(5), range(5)):
        parts = {}
        for path, batch, v, *_ in study.rows:
            if v == visit:
                chosen = values[path][study.populations[path] == population, marker]
                parts.setdefault(batch, []).append(chosen)
        found.append(largest_distance([np.concatenate(p) for p in parts.values()]))
    return np.mean(found)


def rows_of(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def test_batch_effect_goes_visit_effect_stays(study):
    rows = study.train()
    before = {path: study.values(path) for path, *_ in study.rows}
    after = normalised(study)
    # 0.1 remains where nothing but chance differs between 6,000 events of each batch.
    assert batch_distance(study, before) > 0.6
    assert batch_distance(study, after) < 0.12
    distances = rows_of(rows, check="batch_distance")
    assert {row["held_out"] for row in distances} == {"half of the events"}
    assert distances[0]["marker"] == "all"
    assert distances[0]["verdict"] == "better"
    # By chance the held out half is off, and the half that was learned from.
    assert float(distances[0]["after"]) < 2 * float(distances[0]["by_chance"])
    assert float(distances[0]["before"]) > 20 * float(distances[0]["by_chance"])
    # Eight clusters were asked for, and five populations are there.
    assert "function of all events in B0" in rows_of(rows, check="fallback")[-1]["note"]
    assert not rows_of(rows, verdict="shrunk")
    changes = [
        np.mean(after[b][study.populations[b] == 0, 4])
        - np.mean(after[a][study.populations[a] == 0, 4])
        for (a, *_), (b, *_) in zip(study.rows[3::2], study.rows[4::2], strict=True)
    ]
    assert np.mean(changes) == pytest.approx(0.4, abs=0.04)
    kept = rows_of(rows, check="visit_difference", marker="HLADR", cluster="all")[0]
    assert kept["verdict"] == "kept"
    assert kept["contrast"] == "V1 - V0"
    assert kept["n"] == "9"  # three of twelve have their visits in two batches
    assert float(kept["ratio"]) == pytest.approx(1, abs=0.05)


def test_clusters_see_what_the_whole_does_not(study):
    """Each population is moved on its own in a batch; one function per marker averages that."""
    study.own *= 4
    study.rows.clear()
    for batch in range(3):
        study.add(batch, None, "", role="anchor", n=6000)
        study.add(batch, 0, f"P{batch}", n=6000)
        study.add(batch, 1, f"P{batch}", n=6000)
    study.train(n_clusters=1)
    whole = batch_distance(study, normalised(study))
    study.train(n_clusters=8)
    assert batch_distance(study, normalised(study)) < 0.6 * whole


def test_range_without_anchors(study, capsys):
    study.rows = [row for row in study.rows if row[4] != "anchor"]
    rows = study.train(method="range")
    assert "caution: ranges are aligned without anchors" in capsys.readouterr().out
    before = {path: study.values(path) for path, *_ in study.rows}
    assert batch_distance(study, normalised(study)) < 0.4 * batch_distance(study, before)
    assert rows[0]["held_out"] == "half of the patients"
    assert rows[0]["verdict"] == "better"
    assert float(rows[0]["by_chance"]) < 0.75 * float(rows[0]["after"])
    assert rows_of(rows, check="visit_difference", marker="HLADR")[0]["verdict"] == "kept"


def test_the_goal_batch_stays_as_it_is(study):
    study.train(goal="B1")
    after = normalised(study)
    for path, batch, *_ in study.rows:
        same = np.array_equal(after[path], study.values(path))
        assert same == (batch == "B1")


def test_what_a_normalised_sample_keeps(study):
    study.train()
    path, batch, *_ = study.rows[0]
    out = study.folder / "out.arrow"
    normalise_flow_sample(path, study.functions, batch, out)
    before, after = read_events(path), read_events(out)
    assert list(after.values) == list(before.values)
    np.testing.assert_array_equal(after.quality, before.quality)
    np.testing.assert_array_equal(after.values["Time"], before.values["Time"])
    how = json.loads(after.meta.pop("normalisation"))
    assert how["batch"] == batch
    assert "HLADR" in how["markers"]
    assert "Time" not in how["markers"]
    assert after.meta == before.meta


def test_same_result_again(study):
    study.train(seed=5)
    first = study.functions.read_bytes(), study.guard.read_text()
    study.train(seed=5)
    assert (study.functions.read_bytes(), study.guard.read_text()) == first


def test_several_donors_are_held_out_in_turn(study):
    for batch in range(3):
        study.add(batch, None, "D2", role="anchor", n=1000 * (batch + 3))
    rows = study.train()
    held = dict.fromkeys(row["held_out"] for row in rows if row["check"] == "batch_distance")
    assert list(held) == ["anchor without a name", "anchor D2"]
    assert {row["verdict"] for row in rows_of(rows, cluster="all", marker="all")} == {"better"}


def test_no_batch_effect_is_not_improved(study):
    study.shift[:], study.scale[:], study.own[:] = 0, 1, 0
    study.rows.clear()
    for batch in range(3):
        study.add(batch, None, "", role="anchor", n=6000)
        study.add(batch, 0, f"P{batch}")
        study.add(batch, 1, f"P{batch}")
    assert study.train()[0]["verdict"] == "no_better"


def test_an_effect_that_bad_anchors_remove_is_reported(study, capsys):
    """The anchor of one batch, in which nearly all second visits are, is brighter by the effect."""
    study.shift[:], study.scale[:], study.own[:] = 0, 1, 0
    study.rows.clear()
    for batch in range(2):
        study.shift[batch, 4] = 0.16 * batch
        study.add(batch, None, "", role="anchor", n=6000)
    study.shift[:] = 0
    for patient in range(9):
        study.add(0, 0, f"P{patient}")
        study.add(int(patient > 0), 1, f"P{patient}")
    rows = study.train(n_clusters=1)
    row = rows_of(rows, check="visit_difference", marker="HLADR")[0]
    assert row["verdict"] == "shrunk"
    assert "the difference V1 - V0 of HLADR in all events shrinks to" in capsys.readouterr().out


def test_designs_are_refused(study):
    study.rows = [
        row for row in study.rows if not row[2] or row[1:3] in (("B0", "V0"), ("B1", "V1"))
    ]
    with pytest.raises(DesignError, match="coincide"):
        study.train()


def test_an_anchor_without_events_is_none(study):
    study.add(0, None, "", role="anchor", n=0)
    study.rows[0] = study.rows.pop()
    with pytest.raises(DesignError, match="anchors of batch B0 have no passing events"):
        study.train()


def test_an_anchor_with_few_events(study):
    study.add(0, None, "", role="anchor", n=40)
    study.rows[0] = study.rows.pop()
    with pytest.raises(DesignError, match='batch "B0" have 40 usable events'):
        study.train()


def test_too_few_events_to_hold_some_out(study):
    for batch in range(3):
        study.add(batch, None, "", role="anchor", n=80)
    study.rows[:3] = [study.rows.pop() for _ in range(3)][::-1]
    rows = study.train()
    assert rows[0]["verdict"] == "not_judged"
    assert "half of the events" in rows[0]["note"]


def test_markers_that_an_anchor_lacks(study):
    study.add(0, None, "", role="anchor", drop=("CD19",))
    study.rows[0] = study.rows.pop()
    with pytest.raises(DesignError, match=r"CD19 \(not in batch B0\)"):
        study.train()


def test_a_sample_without_a_marker_of_the_map(study):
    """Its cells cannot be put in clusters: the functions of all events serve."""
    path = study.add(0, 0, "P99", drop=("CD4",))
    study.train()
    out = study.folder / "out.arrow"
    normalise_flow_sample(path, study.functions, "B0", out)
    before, after = read_events(path).values, read_events(out).values
    assert "CD4" not in after
    assert not np.array_equal(before["CD3"], after["CD3"])


def test_a_sample_without_events(study):
    path = study.add(0, 0, "P99", n=0)
    study.train()
    normalise_flow_sample(path, study.functions, "B0", study.folder / "out.arrow")
    assert read_events(study.folder / "out.arrow").quality.size == 0


def test_a_batch_that_was_not_learned(study):
    study.train()
    with pytest.raises(ConfigError, match='batch "B9"'):
        normalise_flow_sample(study.rows[0][0], study.functions, "B9", study.folder / "out.arrow")


def test_a_file_that_holds_no_functions(study):
    broken = study.folder / "functions.npz"
    for content in (b"", b"nonsense", b"PK\x03\x04nonsense"):
        broken.write_bytes(content)
        with pytest.raises(ConfigError, match="no functions"):
            load_functions(broken)
    np.savez(broken, a=np.ones(2))
    with pytest.raises(ConfigError, match="no functions"):
        load_functions(broken)
