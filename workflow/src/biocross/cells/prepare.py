"""From a library of counts to prepared cells: read, demultiplex, measure, flag."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biocross.cells.ambient import HIGH_SHARE, Ambient, measure_ambient
from biocross.cells.doublets import expected_rate
from biocross.cells.flags import (
    FLAGS,
    LEDGER_COLUMNS,
    NO_SAMPLE,
    READ,
    ledger_row,
    ledger_rows,
    nothing,
)
from biocross.cells.hashtags import SampleCalls, by_column, by_hashtags, whole_library
from biocross.cells.library import Library, read_library
from biocross.cells.library_quality import LibraryQuality, flag_library
from biocross.cells.proteins import isotype_controls, weak_proteins
from biocross.cohort.sheets import counted, did_you_mean
from biocross.errors import LibraryError
from biocross.intact import write_h5ad
from biocross.tables import write_rows

if TYPE_CHECKING:
    from anndata import AnnData

WARNING_COLUMNS = ("library", "check", "feature", "value", "message")
GENE_COLUMNS = ("library", "gene", "gene_id", "renamed_to")
MUCH_FLAGGED = 0.5

Row = dict[str, object]


def prepare_library(
    path: Path | str,
    name: str,
    samples: Sequence[str],
    hashtags: Sequence[str],
    seed: int,
    library_out: Path | str,
    ledger_out: Path | str,
    warnings_out: Path | str,
    genes_out: Path | str,
    genome: str | None = None,
    expected_cells: int | None = None,
    sample_column: str | None = None,
) -> None:
    """Read a library, tell its samples apart, and flag cells that are broken or no single cell.

    A library that cannot be read, or has no cells, gives a prepared file without cells that says
    why it is ``excluded``; so does the ledger of each of its samples, and the cohort goes on.

    Parameters
    ----------
    path
        File or folder of counts.
    name
        Of the library.
    samples
        Samples of ``samples.tsv`` that the library holds.
    hashtags
        Hashtag of each sample, or the value of `sample_column`; empty for a library of one sample.
    seed
        For simulated doublets.
    library_out
        Prepared cells, all of them, as AnnData.
    ledger_out
        How many cells each step flagged, per sample.
    warnings_out
        What casts doubt on the library.
    genes_out
        Genes that were renamed.
    genome
        Genome to take from a file of several.
    expected_cells
        Cells recovered, where the file holds only part of them.
    sample_column
        Column of an ``.h5ad`` that says which sample a cell is of.
    """
    warnings: list[Row] = []
    try:
        tags = _tags(path, samples, hashtags)
        library = _read(path, name, genome, [] if sample_column else hashtags, expected_cells)
        rate = expected_rate(max(expected_cells or 0, len(library.barcodes)))
        calls = call_samples(path, library, samples, tags, sample_column, rate)
    except LibraryError as error:
        reason = str(error).removeprefix(f"{path}: ")
        print(f"library {name} is excluded: {reason}")
        ledger = [ledger_row(sample, name, READ, 0, 0, f"excluded: {reason}") for sample in samples]
        cells = _without_cells(name, reason)
        renamed: list[dict[str, object]] = []
    else:
        quality = flag_library(
            *(library.counts, library.genes, calls, library.is_integer),
            *(expected_cells or 0, seed),
        )
        ambient = _ambient(library, quality)
        warnings = [
            *_reading_warnings(library, bool(tags)),
            *_rows(name, calls.doubts),
            *_quality_warnings(name, quality, ambient),
        ]
        remarks = {sample: _remark(sample, calls, library) for sample in samples}
        ledger = ledger_rows(name, samples, calls.sample, quality.flag, quality.notes, remarks)
        cells = _prepared(library, calls, quality, ambient)
        renamed = [{"library": name, **gene._asdict()} for gene in library.renamed]
        _say(library, calls, quality)
    write_rows(genes_out, GENE_COLUMNS, renamed)
    write_rows(warnings_out, WARNING_COLUMNS, warnings)
    write_rows(ledger_out, LEDGER_COLUMNS, ledger)
    write_h5ad(library_out, cells, compression="lzf")


def call_samples(
    path: Path | str,
    library: Library,
    samples: Sequence[str],
    tags: Mapping[str, str],
    sample_column: str | None,
    rate: float,
) -> SampleCalls:
    """Tell the samples of a library apart by what the sheet says distinguishes them.

    Parameters
    ----------
    path
        The file, for messages.
    library
        As read.
    samples, tags
        Samples, and the hashtag of each; no hashtags for a library of one sample.
    sample_column
        Column of the cells that takes the place of hashtags.
    rate
        Expected share of doublets.

    Returns
    -------
    SampleCalls
        For every cell.

    Raises
    ------
    LibraryError
        The file lacks the column, or has no hashtags.
    """
    if not tags:
        return whole_library(samples[0], len(library.barcodes))
    if sample_column:
        if sample_column not in library.cell_metadata:
            known = did_you_mean(sample_column, library.cell_metadata)
            raise LibraryError(
                f'{path}: has no column "{sample_column}" about its cells, the one that '
                f"cells.sample_column names{known}"
            )
        return by_column(library.cell_metadata[sample_column], sample_column, tags)
    if not library.hashtag_names:
        raise LibraryError(
            f"{path}: has no hashtags, but samples.tsv gives it {', '.join(tags.values())}; use "
            "the library with the hashtag counts, or name the column of samples in "
            "cells.sample_column"
        )
    if len(library.hashtag_names) == 1 and len(samples) == 1:
        return whole_library(samples[0], len(library.barcodes))
    counts = library.hashtags
    if len(library.hashtag_names) == 1:
        # Against a second tag that no cell carries, cells without the one show as negative.
        counts = np.column_stack([counts, np.zeros(len(counts), dtype=np.int32)])
    names = [*library.hashtag_names, "no second hashtag"][: counts.shape[1]]
    return by_hashtags(counts, names, tags, rate)


def _tags(path: Path | str, samples: Sequence[str], hashtags: Sequence[str]) -> dict[str, str]:
    """Pair samples with hashtags; refuse what does not say which cell is whose."""
    given = [tag for tag in hashtags if tag]
    if not given and len(samples) == 1:
        return {}
    if len(given) != len(samples) or len(set(given)) != len(given):
        raise LibraryError(
            f"{path}: holds {counted(len(samples), 'sample')} with "
            f"{counted(len(set(given)), 'different hashtag')}; give each its own in the column "
            "hashtag of samples.tsv"
        )
    return dict(zip(samples, given, strict=True))


def _read(
    path: Path | str,
    name: str,
    genome: str | None,
    hashtags: Sequence[str],
    expected_cells: int | None,
) -> Library:
    """Read a library, also where it lacks some of the sheet's hashtags: the others go on."""
    wanted = [tag for tag in hashtags if tag]
    try:
        return read_library(path, name, genome, wanted, expected_cells)
    except LibraryError:
        if not wanted:
            raise
        untold = read_library(path, name, genome, (), expected_cells)
        known = {_folded(tag) for tag in (*untold.hashtag_names, *untold.protein_names)}
        present = [tag for tag in wanted if _folded(tag) in known]
        if not present or len(present) == len(wanted):
            raise
        return read_library(path, name, genome, present, expected_cells)


def _folded(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _ambient(library: Library, quality: LibraryQuality) -> Ambient:
    passing = quality.flag == 0
    if not library.is_integer or not passing.any():
        why = nothing(0, "no counts of cells that pass").note
        return Ambient(np.nan, np.full(passing.size, np.nan), np.nan, np.nan, [], why)
    return measure_ambient(library.counts, library.genes, passing, library.ambient)


def _remark(sample: str, calls: SampleCalls, library: Library) -> str:
    """Say in the ledger how a sample was read, or that it has no cells."""
    if not (calls.sample == sample).any():
        reasons = [words for _, _, _, words in calls.doubts if sample in words]
        return f"excluded: {reasons[0] if reasons else 'no cell of the library is of this sample'}"
    return "; ".join(library.notes)


def _reading_warnings(library: Library, is_pooled: bool) -> list[Row]:
    """Say what reading noticed, and what is unusual about the features."""
    found: list[tuple[object, ...]] = [("read", "", None, words) for words in library.notes]
    if library.hashtag_names and not is_pooled:
        said = f"has hashtags ({', '.join(library.hashtag_names)}), but samples.tsv names none: "
        found.append(("hashtag_unused", "", None, said + "all cells are taken to be of one sample"))
    for protein in weak_proteins(library.proteins, library.protein_names):
        found.append(("protein_weak", protein, None, f"{protein} stained hardly any cell"))
    if controls := isotype_controls(library.protein_names):
        said = f"isotype controls among the proteins: {', '.join(controls)}"
        found.append(("isotype_controls", "", float(len(controls)), said))
    return _rows(library.name, found)


def _quality_warnings(name: str, quality: LibraryQuality, ambient: Ambient) -> list[Row]:
    """Say which steps were not possible, and where a library is doubtful as a whole."""
    found: list[tuple[object, ...]] = [
        (step, "", None, note)
        for step, note in quality.notes.items()
        if note.startswith("not_possible") and step not in ("unassigned", "hashtag_doublet")
    ]
    flagged = float((quality.flag > 0).mean()) if quality.flag.size else 0.0
    if flagged > MUCH_FLAGGED:
        found.append(("flagged", "", flagged, f"{flagged:.0%} of the cells are flagged"))
    if np.isnan(ambient.share):
        found.append(("ambient", "", None, ambient.note))
    elif ambient.share > HIGH_SHARE:
        said = f"about {ambient.share:.0%} of the counts float in from other cells "
        said += f"({', '.join(ambient.genes)} most); low expression of these means nothing"
        found.append(("ambient", "", ambient.share, said))
    return _rows(name, found)


def _rows(name: str, found: Iterable[tuple[object, ...]]) -> list[Row]:
    return [dict(zip(WARNING_COLUMNS, (name, *cells), strict=True)) for cells in found]


def _prepared(
    library: Library, calls: SampleCalls, quality: LibraryQuality, ambient: Ambient
) -> "AnnData":
    import pandas as pd
    from anndata import AnnData

    obs = pd.DataFrame(
        {
            "library": pd.Categorical([library.name] * calls.call.size),
            "sample_id": pd.Categorical(calls.sample.astype(object)),
            "hashtag_call": pd.Categorical(calls.call.astype(object)),
            "hashtag_posterior": calls.posterior.astype(np.float32),
            "flag": quality.flag,
            **{
                key: values.astype(np.float32) for key, values in quality.measured._asdict().items()
            },
            "doublet_score": quality.doublet_score.astype(np.float32),
            "ambient_score": ambient.cells.astype(np.float32),
            **{f"given_{key}": _plain(values) for key, values in library.cell_metadata.items()},
        },
        index=pd.Index([f"{library.name}:{barcode}" for barcode in library.barcodes]),
    )
    var = pd.DataFrame({"gene_id": library.gene_ids}, index=pd.Index(library.genes))
    described = {
        "flag_steps": list(FLAGS),
        "notes": list(library.notes),
        "is_integer": library.is_integer,
        "ambient_share": ambient.share,
        "ambient_low": ambient.low,
        "ambient_high": ambient.high,
        "ambient_genes": ambient.genes,
        "ambient_note": ambient.note,
    }
    return AnnData(
        library.counts,
        obs=obs,
        var=var,
        obsm={"proteins": library.proteins, "hashtags": library.hashtags},
        uns={
            "library": described,
            "protein_names": list(library.protein_names),
            "hashtag_names": list(library.hashtag_names),
        },
    )


def _plain(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Write what is neither a number nor a truth value as text, so that any file can hold it."""
    return values if values.dtype.kind in "biuf" else values.astype(str).astype(object)


def _without_cells(name: str, reason: str) -> "AnnData":
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    columns = [
        *("library", "sample_id", "hashtag_call", "hashtag_posterior", "flag", "n_counts"),
        *("n_genes", "mito_percent", "ribo_percent", "top20_percent", "doublet_score"),
        "ambient_score",
    ]
    return AnnData(
        csr_matrix(np.zeros((0, 0), dtype=np.int32)),
        obs=pd.DataFrame(columns=columns, index=pd.Index([], dtype=str)),
        var=pd.DataFrame({"gene_id": []}, index=pd.Index([], dtype=str)),
        uns={"library": {"excluded": reason, "name": name}},
    )


def _say(library: Library, calls: SampleCalls, quality: LibraryQuality) -> None:
    passing = int((quality.flag == 0).sum())
    without = int((calls.sample == NO_SAMPLE).sum())
    print(
        f"{library.name}: {counted(len(library.barcodes), 'cell')}, {passing} pass, "
        f"{without} without a sample"
    )
