"""Time a gating tree beside FlowKit, and a patient's two passes: ``python gating_benchmark.py``."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from biocross.cohort.gate_regions import Rectangle
from biocross.cohort.panel import load_panel
from biocross.cohort.strategy import ROOT, Gate, Strategy, ThresholdRule
from biocross.flow.events import Events, write_events
from biocross.flow.gate_borders import FixedBorders
from biocross.flow.gate_tree import Gating
from biocross.tables import write_rows

CONFIG = Path(__file__).parents[2] / "config"

BORDER = 0.5
# Population: what it is gated under, and its phenotype; a tree five levels deep. Markers are
# numbers; the shares of positive events are those of `simulate`.
PHENOTYPES = {
    "leukocytes": (ROOT, "0+"),
    "granulocytes": ("leukocytes", "1+ 2-"),
    "eosinophils": ("granulocytes", "3+"),
    "neutrophils": ("granulocytes", "3- 4+"),
    "mononuclear": ("leukocytes", "1-"),
    "T": ("mononuclear", "2+ 5-"),
    "B": ("mononuclear", "2- 5+"),
    "monocytes": ("mononuclear", "2- 5- 6+"),
    "NK": ("mononuclear", "2- 5- 6- 7+"),
    "ILC": ("mononuclear", "2- 5- 6- 7- 8+"),
    "ILC2": ("ILC", "9+"),
    "CD4": ("T", "10+ 11-"),
    "CD8": ("T", "10- 11+"),
    "memory": ("CD4", "12-"),
    "Treg": ("CD4", "13+ 8-"),
    "Th2": ("memory", "9+"),
    "Th17": ("memory", "9- 14+"),
    "Tc2": ("CD8", "9+"),
    "CD8_naive": ("CD8", "12+ 15+"),
    "NK_bright": ("NK", "16-"),
}
SHARES = {0: 0.95, 1: 0.6, 3: 0.05, 9: 0.03, 13: 0.08}


def simulate(n_events=1_000_000, n_markers=30, seed=1):
    """Draw markers that are bimodal and independent."""
    random = np.random.default_rng(seed)
    values = {}
    for marker in range(n_markers):
        positive = random.random(n_events) < SHARES.get(marker, 0.4)
        column = random.normal(0, 0.08, n_events) + np.where(positive, 0.7, 0.3)
        values[str(marker)] = column.astype(np.float32)
    # Some events lie on the border itself.
    for column in values.values():
        column[::1000] = BORDER
    return values


def parse(phenotype):
    return tuple((word[:-1], word[-1] == "+") for word in phenotype.split())


def time_biocross(values, rectangles=False):
    """Return CPU seconds and counts; with thresholds or with rectangles."""
    size = values["0"].size
    sample = Events(values, np.zeros(size, dtype=np.uint8), {"sample_id": "S", "tissue": ""})
    above = np.nextafter(BORDER, 1)
    gates = {}
    for name, (under, phenotype) in PHENOTYPES.items():
        signs = parse(phenotype)
        region = Rectangle(
            tuple(marker for marker, _ in signs),
            tuple(above if positive else -np.inf for _, positive in signs),
            tuple(np.inf if positive else above for _, positive in signs),
        )
        gates[name] = Gate(name, under, region=region) if rectangles else Gate(name, under, signs)
    rules = {marker: ThresholdRule(marker, marker, "fixed", value=BORDER) for marker in values}
    start = time.process_time()
    gating = Gating([sample], Strategy("patient", rules, gates), FixedBorders())
    counts = {name: gating.members(name)[0].size for name in gates}
    return time.process_time() - start, counts


def time_flowkit(values):
    """Return CPU seconds and counts of FlowKit's rectangle gates; building them is not timed."""
    import flowkit

    sample = flowkit.Sample(
        np.column_stack(list(values.values())), channel_labels=list(values), sample_id="S"
    )
    strategy = flowkit.GatingStrategy()
    above = float(np.nextafter(BORDER, 1))
    paths = {ROOT: ("root",)}
    for name, (under, phenotype) in PHENOTYPES.items():
        dimensions = [
            flowkit.Dimension(
                marker,
                range_min=above if positive else None,
                range_max=None if positive else above,
            )
            for marker, positive in parse(phenotype)
        ]
        strategy.add_gate(flowkit.gates.RectangleGate(name, dimensions), gate_path=paths[under])
        paths[name] = (*paths[under], name)
    start = time.process_time()
    results = strategy.gate_sample(sample)
    seconds = time.process_time() - start
    return seconds, {name: results.get_gate_count(name) for name in PHENOTYPES}


def compare(n_events=1_000_000):
    """Return CPU seconds by program, after checking that the counts are equal."""
    values = simulate(n_events)
    seconds, counts = time_biocross(values)
    seconds_rectangles, counts_rectangles = time_biocross(values, rectangles=True)
    seconds_flowkit, counts_flowkit = time_flowkit(values)
    if not counts == counts_rectangles == counts_flowkit:
        raise AssertionError(f"counts differ: {counts} {counts_rectangles} {counts_flowkit}")
    return {
        "thresholds": seconds,
        "rectangles": seconds_rectangles,
        "flowkit": seconds_flowkit,
    }


PASSES = """
import sys
from biocross.flow.gating import estimate_thresholds, gate_patient
folder, config, *events = sys.argv[1:]
sheets = [f"{config}/{name}" for name in ("gating.yaml", "populations.yaml", "panel.tsv")]
transforms = f"{folder}/transforms.tsv"
"""
ESTIMATE = "estimate_thresholds(events, *sheets, transforms, f'{folder}/thresholds.tsv')"
GATE = """
tables = [f"{folder}/{name}.tsv" for name in ("counts", "expression", "modes", "shifts", "unknown")]
tables.append(f"{folder}/membership.arrow")
gate_patient(events, sheets[0], f"{folder}/thresholds.tsv", *sheets[1:], transforms, *tables)
"""


def time_patient(n_visits=3, n_events=500_000):
    """Return CPU seconds of both passes of the shipped strategy, each a process of its own.

    Markers are bimodal and independent, so that the tree's populations are smaller, the deeper
    they lie, than those of blood.
    """
    panel = load_panel(CONFIG / "panel.tsv")
    random = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as folder:
        events = [f"{folder}/V{visit}.arrow" for visit in range(n_visits)]
        for visit, path in enumerate(events):
            values = {}
            for channel in panel:
                positive = random.random(n_events) < 0.4
                column = random.normal(0.35, 0.06, n_events) + 0.35 * positive
                scale = 1 if channel.is_signal else 100_000
                values[channel.marker] = (scale * column).astype(np.float32)
            meta = {"sample_id": f"V{visit}", "patient_id": "P", "tissue": "whole_blood"}
            write_events(path, values, np.zeros(n_events, dtype=np.uint8), meta)
        write_rows(
            f"{folder}/transforms.tsv",
            ("marker", "transform", "top", "decades", "width", "negative"),
            [
                {
                    **{"marker": channel.marker, "top": 262144, "decades": 4.5, "width": 0.5},
                    **{"transform": "logicle" if channel.is_signal else "linear", "negative": 0},
                }
                for channel in panel
            ],
        )
        seconds = []
        for step in (ESTIMATE, GATE):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-c", PASSES + step, folder, str(CONFIG), *events]
            subprocess.run(command, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return dict(zip(("estimate", "gate"), seconds, strict=True))


if __name__ == "__main__":
    found = compare()
    for program, seconds in found.items():
        print(f"{program:12s} {seconds:8.3f} s   FlowKit / this: {found['flowkit'] / seconds:.1f}")
    for step, seconds in time_patient().items():
        print(f"{step:12s} {seconds:8.3f} s   three visits of 500,000 events")
