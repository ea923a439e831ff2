"""Files that the steps pass on: a damaged one is noticed and named, never analysed."""

import random

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tiny_project import make_tiny

from biocross.errors import ConfigError, DamagedError
from biocross.flow.events import read_columns, write_columns
from biocross.flow.normalisation.functions import Functions, load_functions, save_functions
from biocross.intact import open_h5ad, read_h5ad, write_h5ad


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "P01.arrow"
    rng = np.random.default_rng(1)
    columns = {"CD3": rng.random(41, dtype=np.float32), "quality": np.zeros(41, np.uint8)}
    write_columns(path, columns, {"batch": "lot_1"})
    return path, columns


def test_every_byte_of_events_is_watched(events):
    path, columns = events
    whole, noticed = path.read_bytes(), 0
    for place in range(len(whole)):
        path.write_bytes(flipped(whole, place))
        try:
            read, meta = read_columns(path)
        except DamagedError:
            noticed += 1
        else:
            # Bytes that nobody reads fill the gaps of the format.
            assert meta == {"batch": "lot_1"}
            assert [*read] == [*columns]
            for name, values in read.items():
                np.testing.assert_array_equal(values, columns[name])
    assert noticed > 600


def test_events_that_end_early(events):
    path, _ = events
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedError, match="delete this file and run again"):
            read_columns(path)


@pytest.fixture
def cells(tmp_path):
    path = tmp_path / "cells.h5ad"
    rng = np.random.default_rng(1)
    data = anndata.AnnData(
        sparse.random(60, 30, 0.3, "csr", np.float32, random_state=1),
        obs=pd.DataFrame({"population": pd.Categorical(rng.choice(["a", "b"], 60))}).rename(str),
    )
    write_h5ad(path, data, compression="lzf")
    return path, data


def test_other_programs_open_the_cells(cells):
    path, data = cells
    np.testing.assert_array_equal(anndata.read_h5ad(path).X.toarray(), data.X.toarray())
    assert anndata.read_h5ad(path, backed="r+").n_obs == 60
    assert read_h5ad(path).n_obs == 60


def test_cells_that_another_program_wrote_are_read(cells):
    path, data = cells
    data.write_h5ad(path)
    assert read_h5ad(path).n_obs == 60
    with open_h5ad(path) as file:
        assert "obs" in file


def test_damage_to_cells_is_noticed(cells):
    path, _ = cells
    whole = path.read_bytes()
    end = whole.rindex(b"biocross ")
    for place in random.Random(1).sample(range(end), 200):
        path.write_bytes(flipped(whole, place))
        for read in (read_h5ad, _opened):
            with pytest.raises(DamagedError, match=r"cells\.h5ad: is damaged"):
                read(path)


def _opened(path):
    with open_h5ad(path) as file:
        assert isinstance(file, h5py.File)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.95])
def test_cells_that_end_early(cells, share):
    path, _ = cells
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    for read in (read_h5ad, _opened):
        with pytest.raises(DamagedError, match="delete this file and run again"):
            read(path)


def test_damage_to_the_functions_of_a_normalisation_is_noticed(tmp_path):
    path = tmp_path / "functions.npz"
    values = np.random.default_rng(1).random((1, 1, 2, 9)).astype(np.float32)
    saved = Functions("quantile", "mean", ("lot_1",), ("CD3", "CD4"), None, values, values)
    save_functions(path, saved)
    whole, noticed = path.read_bytes(), 0
    for place in random.Random(1).sample(range(len(whole)), 300):
        path.write_bytes(flipped(whole, place))
        try:
            read = load_functions(path)
        except ConfigError:
            noticed += 1
        else:
            np.testing.assert_array_equal(read.source, values)
            assert read[:4] == saved[:4]
    assert noticed > 100


DAMAGED = {
    "flow/events/P01_baseline.arrow": "flow/gating/patients/P01.estimates.tsv",
    "flow/gating/patients/P01.membership.arrow": "flow/clusters/agreement.tsv",
    "flow/clusters/labels/P01_baseline.arrow": "flow/cells.h5ad",
    "flow/clusters/map.arrow": "flow/clusters/annotation.tsv",
    "cells/cells.h5ad": "cells/counts.tsv",
}


@pytest.mark.workflow
@pytest.mark.long
@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_run_names_the_damaged_file_and_its_remedy_helps(finished_project, tmp_path, damaged):
    if damaged.startswith("cells"):
        project = make_tiny(tmp_path, rna=True)
    else:
        project = finished_project.copied_to(tmp_path / "copy")
    file, asked = project.folder / "results" / damaged, f"results/{DAMAGED[damaged]}"
    project.snakemake(asked)
    before = file.read_bytes()
    file.write_bytes(flipped(before, len(before) // 2))
    done = project.snakemake(asked, check=False)
    words = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"results/{damaged}: is damaged" in words
    assert "Traceback" not in words
    file.unlink()
    project.snakemake(asked)
    assert file.read_bytes() == before
