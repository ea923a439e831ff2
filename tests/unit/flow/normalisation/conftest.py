"""A simulated study in batches of known shifts, with a visit effect that must stay."""

from types import SimpleNamespace

import numpy as np
import pytest

from biocross.flow.events import read_events, write_events
from biocross.flow.normalisation.normalise import train_normalisation
from biocross.tables import read_rows

MARKERS = ("CD3", "CD4", "CD19", "CD56", "HLADR")
# Five populations; HLADR is a state marker.
MEANS = np.array(
    [
        [3.5, 3.2, 0.5, 0.4, 0.6],
        [3.4, 0.6, 0.5, 0.6, 1.0],
        [0.4, 0.5, 3.1, 0.5, 2.8],
        [0.6, 0.4, 0.6, 3.3, 0.8],
        [0.5, 1.8, 0.4, 0.5, 3.4],
    ]
)
SHARES = np.array([0.4, 0.25, 0.15, 0.12, 0.08])
VISIT_EFFECT = 0.4  # of HLADR on the first population


class Study(SimpleNamespace):
    """Samples in a folder, and the way to normalise them."""

    def draw(self, n, batch, visit=0):
        """Return values and populations of one sample."""
        population = self.random.choice(len(SHARES), n, p=SHARES)
        values = MEANS[population] + self.random.normal(0, 0.3, (n, len(MARKERS)))
        values[population == 0, 4] += VISIT_EFFECT * visit
        values = values * self.scale[batch] + self.shift[batch] + self.own[batch][population]
        return values.astype(np.float32), population

    def add(self, batch, visit, patient, role="sample", n=1500, drop=(), flagged=0):
        """Write a sample's prepared events and remember its row."""
        values, population = self.draw(n, batch, visit if isinstance(visit, int) else 0)
        path = self.folder / f"S{len(self.rows)}.arrow"
        columns = {m: values[:, i].copy() for i, m in enumerate(MARKERS) if m not in drop}
        quality = np.zeros(n, dtype=np.uint8)
        quality[:flagged] = 2
        for column in columns.values():
            column[:flagged] = 50
        columns["Time"] = np.arange(n, dtype=np.float32)
        write_events(path, columns, quality, {"sample_id": path.stem})
        name = "" if visit is None else f"V{visit}"
        self.rows.append((path, f"B{batch}", name, patient, role))
        self.populations[path] = population
        return path

    def train(self, method="anchors", goal="mean", n_clusters=8, seed=0):
        """Run the step and return the rows of the guard."""
        self.panel = self.folder / "panel.tsv"
        lines = [f"{m}-A\t{m}\t{'state' if m == 'HLADR' else 'lineage'}" for m in MARKERS]
        self.panel.write_text("\n".join(["channel\tmarker\tkind", *lines, "Time\tTime\ttime", ""]))
        events, batches, visits, patients, roles = map(list, zip(*self.rows, strict=True))
        self.functions, self.guard = self.folder / "functions.npz", self.folder / "guard.tsv"
        train_normalisation(
            events, batches, visits, patients, roles,
            panel=self.panel, method=method, goal=goal, n_clusters=n_clusters, seed=seed,
            functions_out=self.functions, guard_out=self.guard,
        )  # fmt: skip
        return read_rows(self.guard)

    def values(self, path):
        """Return the prepared values of a file, shape (events, markers)."""
        events = read_events(path)
        return np.stack([events.values[marker] for marker in MARKERS], axis=1)


def new_study(folder, n_batches=3, strength=0.4, seed=3):
    random = np.random.default_rng(seed)
    shape = (n_batches, len(MARKERS))
    return Study(
        folder=folder,
        random=random,
        shift=random.normal(0, strength, shape),
        scale=1 + random.normal(0, strength / 5, shape),
        own=random.normal(0, strength / 4, (n_batches, len(SHARES), len(MARKERS))),
        rows=[],
        populations={},
    )


@pytest.fixture
def study(tmp_path):
    """Three batches with an anchor each; nine patients, two visits, in one batch or two."""
    made = new_study(tmp_path)
    for batch in range(3):
        made.add(batch, None, "", role="anchor", n=7000, flagged=1000)
    for patient in range(12):
        made.add(patient % 3, 0, f"P{patient}")
        made.add((patient + patient // 9) % 3, 1, f"P{patient}")
    return made


@pytest.fixture
def empty_study(tmp_path):
    """Three batches without samples."""
    return new_study(tmp_path)
