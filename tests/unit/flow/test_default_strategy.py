"""The shipped gating strategy, on simulated whole blood and PBMC whose truth is known."""

from pathlib import Path

import numpy as np
import pytest

from biocross.cohort.panel import load_panel
from biocross.cohort.strategy import load_strategy
from biocross.cohort.vocabulary import load_vocabulary
from biocross.flow.events import read_events
from biocross.flow.gate_borders import EstimatedBorders
from biocross.flow.gate_counts import count_rows
from biocross.flow.gate_tree import Gating
from biocross.flow.prepare import prepare_flow_sample
from biocross.flow.signals import Compensation
from biocross.flow.transform_choice import estimate_transforms
from biocross.flow.transform_table import decades_by_marker
from biocross.simulate.description import load_description, merge
from biocross.simulate.flow.cohort import simulate_cohort
from biocross.simulate.sheets import write_sheets
from biocross.simulate.study import read_study
from biocross.tables import read_rows

CONFIG = Path(__file__).parents[3] / "config"
GRANULOCYTES = ("eosinophils", "neutrophils")
# As many events for each of a few patients as a short acquisition has.
SMALL = {
    "visits": {"month_12": None},
    "missing_follow_ups": 0,
    "events_per_sample": 60_000,
    "cytometer": {"events_per_second": 2000},
    "treatments": {"mepolizumab": {"patients": 2}, "dupilumab": {"patients": 2}},
}


def without_granulocytes(study):
    """Turn the demo's study of whole blood into one of PBMC."""
    lost = {
        "populations": dict.fromkeys(GRANULOCYTES),
        "blood_counts": {"eosinophils_per_ul": None},
        "rna": None,
    }
    return merge(study, {"tissue": "pbmc", **lost})


def gate_cohort(folder, study, seed):
    """Simulate a study and take its files as far as counts."""
    write_sheets(study, folder, seed)
    samples = read_rows(folder / "samples.tsv")
    simulate_cohort(study, folder / "samples.tsv", folder / "patients.tsv", folder, seed)
    panel, compensation = folder / "panel.tsv", Compensation("file")
    files = [folder / row["path"] for row in samples]
    transforms = folder / "transforms.tsv"
    estimate_transforms(
        *(files, panel, "conventional", None, None, [compensation] * len(files)),
        *(transforms, folder / "transforms.xml"),
    )
    for row, file in zip(samples, files, strict=True):
        others = (folder / f"{row['sample_id']}.{what}" for what in ("l", "r", "o", "s"))
        prepare_flow_sample(
            *(file, panel, transforms, "conventional", compensation, (), row),
            *(folder / f"{row['sample_id']}.arrow", *others),
        )
    channels = load_panel(panel)
    vocabulary = load_vocabulary(CONFIG / "populations.yaml")
    strategy = load_strategy(CONFIG / "gating.yaml", vocabulary, {c.marker for c in channels})
    kinds = {channel.marker: channel.kind for channel in channels}
    order = [name for name in vocabulary if name in strategy.gates]
    counts = {}
    for patient in dict.fromkeys(row["patient_id"] for row in samples):
        names = [row["sample_id"] for row in samples if row["patient_id"] == patient]
        events = [read_events(folder / f"{name}.arrow") for name in names]
        borders = EstimatedBorders(decades_by_marker(transforms), kinds)
        gating = Gating(events, strategy, borders)
        for position, name in enumerate(names):
            for row in count_rows(gating, position, order, vocabulary):
                counts[name, row["population"]] = (row["count"], row["parent_count"])
    truth = {
        (row["sample_id"], row["population"]): (int(row["count"]), int(row["parent_count"]))
        for row in read_rows(folder / "truth" / "flow" / "counts.tsv")
    }
    return counts, truth


@pytest.fixture(scope="module", params=["blood", "blood, lots 0.1 decade apart", "pbmc"])
def cohort(request, tmp_path_factory):
    study = merge(load_description(CONFIG / "simulation" / "demo.yaml"), SMALL)
    if request.param == "pbmc":
        study = without_granulocytes(study)
    if "lots" in request.param:
        study = merge(study, {"staining": {"batch_shift": 0.1}})
    return study["tissue"], *gate_cohort(tmp_path_factory.mktemp("cohort"), study, 5)


def errors_of(counts, truth):
    """Return log(found / true) of the frequencies, by population, of 50 true events and more."""
    found = {}
    for (sample, name), (count, parent) in truth.items():
        if count >= 50:
            share, whole = counts[sample, name]
            error = np.log(share / whole) - np.log(count / parent)
            found.setdefault(name, {})[sample] = error
    return {name: errors for name, errors in found.items() if len(errors) >= 4}


def share_of_leukocytes(truth, name):
    leukocytes = {sample: whole for (sample, p), (_, whole) in truth.items() if p == "monocytes"}
    return np.median(
        [count / leukocytes[sample] for (sample, p), (count, _) in truth.items() if p == name]
    )


def test_frequencies_are_those_of_the_truth(cohort):
    _, counts, truth = cohort
    errors = errors_of(counts, truth)
    assert len(errors) >= 33
    wrong = {}
    for name, of_samples in errors.items():
        error = np.median(np.abs(np.expm1(list(of_samples.values()))))
        allowed = 0.05 if share_of_leukocytes(truth, name) > 0.01 else 0.15
        if error > allowed:
            wrong[name] = round(float(error), 3)
    assert wrong == {}


def test_frequencies_err_alike_at_both_visits(cohort):
    """False positives of a rare population that rises are a smaller share of it later: 0.05."""
    _, counts, truth = cohort
    wrong = {}
    for name, of_samples in errors_of(counts, truth).items():
        moved = [
            of_samples[sample] - of_samples[sample.replace("month_4", "baseline")]
            for sample in of_samples
            if sample.endswith("month_4") and sample.replace("month_4", "baseline") in of_samples
        ]
        if len(moved) < 3:
            continue
        error = np.std(moved, ddof=1) / np.sqrt(len(moved))
        if abs(np.mean(moved)) > 0.05 + 2 * error:
            wrong[name] = np.round(moved, 3).tolist()
    assert wrong == {}


def test_monocytes_are_all_found(cohort):
    """They lost an eighth of their cells while CD45 and SSC were their gate."""
    _, counts, truth = cohort
    for (sample, name), (count, _) in truth.items():
        if name == "monocytes":
            # Doublets and dead cells of the sample are flagged with a few of the living.
            assert counts[sample, name][0] == pytest.approx(count, rel=0.12)
            whole = counts[sample, "leukocytes"][0] / truth[sample, "lymphocytes"][1]
            assert counts[sample, name][0] / count / whole == pytest.approx(1, abs=0.08)


def test_pbmc_have_no_granulocytes_measured_and_blood_has(cohort):
    tissue, counts, _ = cohort
    for (_, name), (count, _) in counts.items():
        assert (count is None) == (tissue == "pbmc" and name in GRANULOCYTES), name


@pytest.fixture(scope="module")
def strategy():
    vocabulary = load_vocabulary(CONFIG / "populations.yaml")
    markers = {channel.marker for channel in load_panel(CONFIG / "panel.tsv")}
    return load_strategy(CONFIG / "gating.yaml", vocabulary, markers)


def test_everything_the_demo_simulates_is_gated(strategy):
    study = read_study(CONFIG / "simulation" / "demo.yaml")
    assert set(study.reported) | {"live_singlets", "leukocytes"} == set(strategy.gates)


def signs_of(strategy, population):
    """Return the markers that a population must have, and those that it must lack."""
    signs = strategy.gates[population].signs
    positive, negative = (
        {strategy.thresholds[name].marker for name, above in signs if above is wanted}
        for wanted in (True, False)
    )
    return positive, negative


def test_no_gate_rests_on_what_a_drug_or_a_disease_takes_away(strategy):
    for markers in signs_of(strategy, "eosinophils"):
        assert not {"CD125", "CD123", "CD69", "CD16"} & markers
    assert not {"FceRI", "IgE"} & {rule.marker for rule in strategy.thresholds.values()}


def test_the_dump_of_innate_lymphoid_cells_is_complete(strategy):
    positive, negative = signs_of(strategy, "ILC")
    assert positive == {"CD127"}
    lineage = {"CD3", "CD14", "CD16", "CD19", "CD56", "CD11c", "CD123", "TCRgd", "SSC-A"}
    assert lineage <= negative


def test_type_2_cells_are_told_by_crth2(strategy):
    for name in ("Th2", "Tc2", "ILC2"):
        assert signs_of(strategy, name) == ({"CRTH2"}, set())
    assert strategy.gates["Th2"].under == "CD4_memory"
    # A border on CD4 T cells, because the rare cells themselves have no valley.
    assert strategy.thresholds["CRTH2"].estimate_on == "CD4_T"


def test_no_border_is_sought_on_the_population_being_gated(strategy):
    assert all(rule.estimate_on for rule in strategy.thresholds.values())
