"""Small cohorts written as the long tables, for tests of the statistics and the report."""

import shutil
from pathlib import Path

import numpy as np
import yaml

from biocross.cohort.overview import PAIR_COLUMNS, SAMPLE_COLUMNS, check_cohort
from biocross.populations import (
    COUNTS_COLUMNS,
    EXPRESSION_COLUMNS,
    gather_populations,
    import_counts,
)
from biocross.statistics.paired_changes import find_paired_changes, load_changes, population_pairs
from biocross.tables import write_rows

ROOT = Path(__file__).parents[1]
GATES = ("flow", "gate", "percent_of_parent")


class LongTables:
    """The tables that the statistics read, filled sample by sample."""

    def __init__(self, folder):
        self.folder = folder
        self.samples, self.counts, self.expression, self.pairs = [], [], [], []
        self.populations = ROOT / "config" / "populations.yaml"

    def add(self, patient, visit, counts, treatment="mepolizumab", source="gate", **sample):
        """Add one sample.

        `counts` gives, by population, (count, parent_count), or a mapping of columns; `parent` is
        "leukocytes" where the mapping does not say otherwise.
        """
        sample_id = f"{patient}_{visit}" if source == "gate" else f"{source}_{patient}_{visit}"
        who = {"patient_id": patient, "visit": visit, "treatment": treatment, "modality": "flow"}
        self.samples.append(
            {"sample_id": sample_id, **who, "unit": patient, "level": visit, **sample}
        )
        for population, measured in counts.items():
            cells = (
                measured
                if isinstance(measured, dict)
                else dict(zip(("count", "parent_count"), measured, strict=True))
            )
            row = {"parent": "leukocytes", **cells}
            if row.get("parent_count") and row.get("count") is not None:
                row.setdefault("percent", 100 * row["count"] / row["parent_count"])
            self.counts.append(
                {"sample_id": sample_id, **who, "source": source, "population": population, **row}
            )

    def measure(self, patient, visit, population, marker, **values):
        """Add one row of marker values to a sample."""
        self.expression.append(
            {
                "sample_id": f"{patient}_{visit}",
                "modality": "flow",
                "source": "gate",
                "population": population,
                "parent": "leukocytes",
                "marker": marker,
                **values,
            }
        )

    def ask(self, treatment, *patients, followup="month_4", baseline="baseline"):
        """Ask a contrast of some patients."""
        for patient in patients:
            self.pairs.append(
                {
                    "modality": "flow",
                    "treatment": treatment,
                    "contrast": f"{followup} - {baseline}",
                    "followup": followup,
                    "baseline": baseline,
                    "unit": patient,
                    "patient_id": patient,
                    "complete": "yes",
                }
            )

    def name_primary(self, *names, **others):
        """Write a vocabulary of leukocytes, these primary populations, and others by parent."""
        vocabulary = {"leukocytes": {"parent": None, "flow": ""}}
        vocabulary |= {
            name: {"parent": "leukocytes", "flow": "", "primary": True} for name in names
        }
        vocabulary |= {name: {"parent": parent, "flow": ""} for name, parent in others.items()}
        self.populations = self.folder / "populations.yaml"
        self.populations.write_text(yaml.safe_dump(vocabulary, sort_keys=False))

    def write(self):
        """Write the tables and return their paths by name."""
        paths = {
            name: self.folder / f"{name}.tsv" for name in ("counts", "samples", "pairs", "markers")
        }
        write_rows(paths["counts"], COUNTS_COLUMNS, self.counts)
        write_rows(paths["samples"], SAMPLE_COLUMNS, self.samples)
        write_rows(paths["pairs"], PAIR_COLUMNS, self.pairs)
        write_rows(paths["markers"], EXPRESSION_COLUMNS, self.expression)
        return paths

    def pair_tables(self):
        """Return the tables of pairs that the populations make."""
        paths = self.write()
        return list(population_pairs(paths["counts"], paths["samples"], paths["pairs"]))

    def changes(self, confirmatory=GATES, seed=1):
        """Test the populations and return ``paired_changes.tsv`` as a frame."""
        return load_changes(self.changes_file(confirmatory, seed))

    def changes_file(self, confirmatory=GATES, seed=1):
        """Test the populations and return the path of ``paired_changes.tsv``."""
        paths = self.write()
        out = self.folder / "paired_changes.tsv"
        find_paired_changes(
            counts=paths["counts"],
            samples=paths["samples"],
            pairs=paths["pairs"],
            populations=self.populations,
            confirmatory=confirmatory,
            seed=seed,
            changes_out=out,
        )
        return out

    def results(self, confirmatory=GATES):
        """Test the populations, and return a folder with the tables where a run leaves them."""
        changes, paths = self.changes_file(confirmatory), self.write()
        folder = self.folder / "results"
        for source, place in (
            (changes, "statistics/paired_changes.tsv"),
            (paths["counts"], "populations/counts.tsv"),
            (paths["samples"], "cohort/samples.tsv"),
            (paths["pairs"], "cohort/pairs.tsv"),
        ):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / place)
        return folder


def one(table, **wanted):
    """Return the only row of a frame with these values."""
    chosen = table
    for key, value in wanted.items():
        chosen = chosen[chosen[key] == value]
    assert len(chosen) == 1, f"{len(chosen)} rows with {wanted}"
    return chosen.iloc[0]


def fill(tables, rng, patients, populations=8, depth=20_000, treatment="mepolizumab", noise=0.2):
    """Add patients at baseline and month 4, whose populations vary by `noise` in log odds.

    Population `pop_k` holds about 2^-k of the leukocytes, from an eighth down.
    """
    names = [f"P{number:02d}" for number in range(patients)]
    names = [f"{treatment[:3]}_{name}" for name in names]
    for name in names:
        own = rng.normal(0, 0.4, populations)
        for visit in ("baseline", "month_4"):
            share = 0.125 * 0.7 ** np.arange(populations)
            odds = share / (1 - share) * np.exp(own + rng.normal(0, noise, populations))
            total = int(depth * rng.uniform(0.5, 1.5))
            counts = rng.binomial(total, odds / (1 + odds))
            sample = {f"pop_{k}": (int(count), total) for k, count in enumerate(counts)}
            tables.add(name, visit, sample, treatment=treatment)
    tables.ask(treatment, *names)
    return names


class TableStudy:
    """A study that starts from a table of frequencies: its sheets, and the library's steps."""

    def __init__(self, folder, rows, treatments, levels):
        """`rows` hold the columns of ``inputs.counts``, `treatments` the treatment by patient."""
        self.folder = folder
        columns = list(dict.fromkeys(key for row in rows for key in row))
        write_rows(folder / "frequencies.tsv", columns, rows)
        patients = [{"patient_id": p, "treatment": t} for p, t in treatments.items()]
        write_rows(folder / "patients.tsv", ("patient_id", "treatment"), patients)
        self.config = {
            "inputs": {
                "counts": str(folder / "frequencies.tsv"),
                "patients": str(folder / "patients.tsv"),
                "populations": str(ROOT / "config" / "populations.yaml"),
            },
            "design": {"levels": list(levels)},
        }

    def changes(self):
        """Run every step from the table to ``paired_changes.tsv``, as the rules do."""
        at = {
            name: self.folder / f"{name}.tsv"
            for name in ("samples", "pairs", "imported", "counts", "expression", "paired_changes")
        }
        populations = self.config["inputs"]["populations"]
        check_cohort(self.config, at["samples"], at["pairs"])
        import_counts(self.config["inputs"]["counts"], populations, at["imported"])
        sources = {"table": at["imported"]}
        gather_populations(
            *(at["samples"], populations, sources, [], at["counts"], at["expression"])
        )
        find_paired_changes(
            *(at["counts"], at["samples"], at["pairs"], populations),
            confirmatory=("flow", "table", "percent_of_parent"),
            seed=1,
            changes_out=at["paired_changes"],
        )
        return load_changes(at["paired_changes"])
