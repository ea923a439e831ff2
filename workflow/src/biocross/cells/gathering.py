"""Join the passing cells of all libraries with what the sheet says of their samples."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from biocross.cells.flags import NO_SAMPLE
from biocross.cells.normalise import log_normalise
from biocross.errors import DesignError, TableError
from biocross.intact import read_h5ad

SAMPLE_KEYS = ("patient_id", "visit", "treatment", "batch", "tissue")
LEAST_CELLS = 30


def gather_libraries(paths: Sequence[Path | str], samples: Sequence[dict[str, str]]) -> Any:
    """Join the passing cells of all libraries, with what the sheet says of their samples.

    Parameters
    ----------
    paths
        Prepared libraries.
    samples
        Rows of ``results/cohort/samples.tsv``.

    Returns
    -------
    anndata.AnnData
        `X` counts of all genes that any library has; a gene that a library lacks is 0 there. Where
        some libraries are normalised already, the counts of the others are log-normalised.

    Raises
    ------
    DesignError
        Fewer than `LEAST_CELLS` cells passed.
    TableError
        A library names a sample that the sheet does not know.
    """
    cells = gather_flagged(paths, samples, (0,))
    n_cells = 0 if cells is None else cells.n_obs
    if n_cells < LEAST_CELLS:
        raise DesignError(
            f"{n_cells} cells of all libraries passed quality, too few to be integrated "
            f"(at least {LEAST_CELLS}); {_why_few(paths)}"
        )
    return cells


def _why_few(paths: Sequence[Path | str]) -> str:
    """Tell why libraries were excluded, or where it stands what their cells lack."""
    said = {Path(path).stem: read_h5ad(path).uns.get("library", {}) for path in paths}
    reasons = [f"{name} {of['excluded']}" for name, of in said.items() if "excluded" in of]
    if not reasons:
        return "look at the ledgers in results/cells/libraries"
    more = f", and {len(reasons) - 1} more are excluded" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}: see the ledgers in results/cells/libraries"


def gather_flagged(
    paths: Sequence[Path | str], samples: Sequence[dict[str, str]], flags: Collection[int]
) -> Any:
    """Join the cells of all libraries that bear one of some flags; see `gather_libraries`.

    Parameters
    ----------
    paths, samples
        As there.
    flags
        Numbers of `flags.FLAGS`, from 1; 0 for cells that pass.

    Returns
    -------
    anndata.AnnData or None
        None where there is no such cell.
    """
    import anndata as ad

    known = {row["sample_id"]: row for row in samples}
    parts = []
    whole = []
    for path in paths:
        part = read_h5ad(path)
        whole += [_has_counts(part)] if part.n_obs else []
        chosen = np.isin(part.obs["flag"].to_numpy(), list(flags))
        chosen &= part.obs["sample_id"].to_numpy() != NO_SAMPLE
        words = "pass" if 0 in flags else "are looked at again"
        print(f"{Path(path).name}: {chosen.sum()} of {len(chosen)} cells {words}", flush=True)
        if not chosen.any():
            continue
        part = part[chosen].copy()
        if unknown := sorted(set(part.obs["sample_id"].astype(str)) - set(known)):
            raise TableError(
                f'{path}: holds sample "{unknown[0]}", which is in no sheet of samples'
            )
        _name_proteins(part)
        for key in set(part.obsm) - {"proteins"}:
            del part.obsm[key]
        parts.append(part)
    if not parts:
        return None
    if any(whole) and not all(whole):
        _put_on_one_scale(parts)
    proteins = _joined_proteins(parts)
    cells = ad.concat(parts, join="outer", merge="first", fill_value=0)
    cells.X = sparse.csr_matrix(cells.X)
    if proteins is not None:
        cells.obsm["proteins"] = proteins
    sample_ids = cells.obs["sample_id"].astype(str)
    for key in SAMPLE_KEYS:
        values = [known[sample].get(key, "") for sample in sample_ids]
        cells.obs[key] = values
    for key in cells.obs:
        if cells.obs[key].dtype.kind not in "biuf":
            cells.obs[key] = cells.obs[key].astype(str).astype("category")
    return cells


def _has_counts(part: Any) -> bool:
    return bool(part.uns.get("library", {}).get("is_integer", True))


def _put_on_one_scale(parts: Sequence[Any]) -> None:
    """Log-normalise counts, for they stand beside values that are normalised already."""
    for part in parts:
        if _has_counts(part):
            print(f"{part.obs['library'].iloc[0]}: log-normalised, as other libraries are already")
            part.X = log_normalise(sparse.csr_matrix(part.X))


def _name_proteins(part: Any) -> None:
    """Give the proteins of a library their names, as a table."""
    import pandas as pd

    if "proteins" in part.obsm and not isinstance(part.obsm["proteins"], pd.DataFrame):
        names = [str(name) for name in part.uns.get("protein_names", [])]
        part.obsm["proteins"] = pd.DataFrame(
            np.asarray(part.obsm["proteins"]), index=part.obs_names, columns=names
        )


def _joined_proteins(parts: Sequence[Any]) -> Any:
    """Join the libraries' proteins; NaN where a library lacks one."""
    import pandas as pd

    tables = [part.obsm.pop("proteins") for part in parts if "proteins" in part.obsm]
    tables = [table for table in tables if table.shape[1]]
    if not tables:
        return None
    index = [name for part in parts for name in part.obs_names]
    return pd.concat(tables).reindex(index).astype(np.float32)
