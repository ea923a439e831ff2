"""A small study without faults, for tests that put one in; and FCS files made on the spot."""

from array import array
from pathlib import Path

import flowio
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture
def write_fcs(tmp_path):
    """Write events, shape (events, channels), as an FCS 3.1 file of the test's own folder."""

    def write(name, events, channels, **keywords):
        path = tmp_path / name
        flat = array("f", np.asarray(events, dtype="<f4").tobytes())
        with path.open("wb") as handle:
            flowio.create_fcs(handle, flat, list(channels), metadata_dict=keywords)
        return path

    return write


class Study:
    """A small study without faults: two patients, two visits, one FCS file each."""

    def __init__(self, folder):
        self.folder = folder
        self.config = {
            "inputs": {
                "folder": str(folder / "fcs"),
                "samples": str(folder / "samples.tsv"),
                "patients": str(folder / "patients.tsv"),
                "clinical": str(folder / "clinical.tsv"),
                "panel": str(folder / "panel.tsv"),
                "populations": str(ROOT / "config" / "populations.yaml"),
                "gating": str(folder / "gating.yaml"),
            },
            "design": {"levels": ["baseline", "month_4"]},
        }
        (folder / "fcs").mkdir()
        samples = ["sample_id patient_id visit modality path batch tissue"]
        for patient in ("P1", "P2"):
            for visit in ("baseline", "month_4"):
                name = f"{patient}_{visit}"
                (folder / "fcs" / f"{name}.fcs").touch()
                samples.append(f"{name} {patient} {visit} flow {name}.fcs lot_1 whole_blood")
        self.write("samples", *samples)
        self.write("patients", "patient_id treatment age", "P1 mepolizumab 50", "P2 dupilumab 41")
        self.write(
            "clinical",
            "patient_id visit leukocytes_per_ul draw_time",
            *("P1 baseline 7000 08:30", "P1 month_4 6500.5 09:00", "P2 baseline 5000 08:00"),
        )
        self.write("panel", "channel marker kind", "FSC-A FSC-A scatter", "PE-A CD3 lineage")
        (folder / "gating.yaml").write_text(yaml.safe_dump({"gates": {"live_singlets": {}}}))

    def write(self, sheet, *lines):
        """Write a sheet whose cells are given separated by blanks, "." for an empty one."""
        rows = (["" if cell == "." else cell for cell in line.split()] for line in lines)
        text = "".join("\t".join(row) + "\n" for row in rows)
        (self.folder / f"{sheet}.tsv").write_text(text, encoding="utf-8")

    def edit(self, sheet, old, new):
        """Replace the only occurrence of some text in a sheet."""
        path = self.folder / f"{sheet}.tsv"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    return Study(folder)
