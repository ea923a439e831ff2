"""What a run was made of: configuration, input files and versions."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from biocross.cohort.config import complete_config
from biocross.tables import write_rows, written_whole

PACKAGES = (
    *("biocross", "snakemake", "flowio", "flowutils", "numpy", "scipy", "pandas"),
    *("pyarrow", "matplotlib", "anndata", "scanpy", "umap-learn", "igraph", "leidenalg"),
    *("harmonypy", "pydeseq2"),
)


def record_provenance(
    config: Mapping[str, Any],
    inputs: Sequence[Path | str],
    config_out: Path | str,
    versions_out: Path | str,
    inputs_out: Path | str,
) -> None:
    """Write the configuration as used, the versions of the software, and checksums of the inputs.

    Parameters
    ----------
    config
        The run's configuration, completed here by its defaults.
    inputs
        Sheets and strategies.
    config_out, versions_out, inputs_out
        YAML, and tables of ``name, version`` and ``file, sha256``. A copy of every input is kept
        beside them.
    """
    with written_whole(config_out) as temporary:
        text = yaml.safe_dump(complete_config(config), sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")
    versions = [{"name": "python", "version": platform.python_version()}]
    versions += [{"name": name, "version": version(name)} for name in PACKAGES]
    write_rows(versions_out, ("name", "version"), versions)
    rows = []
    for path in inputs:
        content = Path(path).read_bytes()
        rows.append({"file": str(path), "sha256": hashlib.sha256(content).hexdigest()})
        with written_whole(kept_copy(path, Path(inputs_out).parent)) as copy:
            copy.write_bytes(content)
    write_rows(inputs_out, ("file", "sha256"), rows)


def kept_copy(path: Path | str, provenance: Path) -> Path:
    """Name the copy of an input by its whole path, because two sheets may share a name.

    Parameters
    ----------
    path
        The input, as the configuration names it.
    provenance
        ``results/provenance``.

    Returns
    -------
    Path
        Where the run keeps the input as it was used.
    """
    name = Path(path).as_posix().lstrip("/").replace("../", "").replace("/", "__")
    return provenance / "sheets" / name
