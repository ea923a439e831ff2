"""Agreement with the labels of public cells; see tests/benchmarks/cell_annotation.py."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[1] / "benchmarks" / "cell_annotation.py"
    spec = importlib.util.spec_from_file_location("cell_annotation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.data
def test_labels_of_kang_are_found(benchmark, test_data):
    values, genes, labels, libraries = benchmark.kang(test_data)
    given = benchmark.lineages(values, genes, libraries)
    truth = np.array([benchmark.KANG[label] for label in labels])
    assert benchmark.agreement(given, truth)[0] >= 0.96


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_labels_of_pbmc68k_are_found(benchmark):
    values, genes, labels, libraries = benchmark.pbmc68k()
    given = benchmark.lineages(values, genes, libraries)
    truth = np.array([benchmark.PBMC68K[label] for label in labels])
    merged, apart = benchmark.agreement(given, truth)
    # Of 31 cells labelled NK, 20 hold transcripts of CD3 and are named T cells.
    assert merged >= 0.94
    assert apart >= 0.85
    nk = labels == "CD56+ NK"
    assert merged + (given[nk] == "T_cells").sum() / len(labels) >= 0.96
