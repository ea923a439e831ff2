import hashlib
import platform

import pytest
import yaml

from biocross.cohort.config import complete_config
from biocross.cohort.provenance import record_provenance
from biocross.tables import read_rows


@pytest.fixture
def recorded(study, tmp_path):
    inputs = [study.folder / name for name in ("samples.tsv", "gating.yaml")]
    out = tmp_path / "provenance"
    record_provenance(
        study.config, inputs, out / "config.yaml", out / "versions.tsv", out / "inputs.tsv"
    )
    return inputs, out


def test_the_configuration_is_written_complete(study, recorded):
    _, out = recorded
    written = yaml.safe_load((out / "config.yaml").read_text("utf-8"))
    assert written == complete_config(study.config)
    assert written["statistics"]["fdr"] == 0.05


def test_checksums_and_copies_of_the_inputs(recorded):
    inputs, out = recorded
    rows = read_rows(out / "inputs.tsv")
    assert [row["file"] for row in rows] == [str(path) for path in inputs]
    for row, path in zip(rows, inputs, strict=True):
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        copies = [copy for copy in (out / "sheets").iterdir() if copy.name.endswith(path.name)]
        assert [copy.read_bytes() for copy in copies] == [path.read_bytes()]


def test_versions(recorded):
    _, out = recorded
    versions = {row["name"]: row["version"] for row in read_rows(out / "versions.tsv")}
    assert versions["python"] == platform.python_version()
    assert {"biocross", "numpy", "scipy", "flowio", "snakemake"} < set(versions)
    assert all(versions.values())
