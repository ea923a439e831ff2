import pytest
from chapter_tables import CLUSTERS, cluster_tables, with_guard

from biocross.cohort.config import complete_config
from biocross.cohort.vocabulary import Population, load_vocabulary
from biocross.report.page.cluster_sections import cluster_chapter, disagreements, guard_sentences
from biocross.statistics.pairs import read_table


def config(**clusters):
    inputs = {"patients": "p.tsv", "samples": "s.tsv", "panel": "p.tsv", "gating": "g.yaml"}
    flow = {"clusters": {"number": None} | clusters}
    return complete_config({"inputs": inputs, "design": {"levels": ["a", "b"]}, "flow": flow})


def chapter(tmp_path, settings=None, **others):
    tables = cluster_tables(tmp_path, **others)
    return cluster_chapter(tables, [], settings or config(), tmp_path / "report.html")


def test_clusters_in_words(tmp_path):
    text = " ".join(chapter(tmp_path).sentences)
    assert "3 clusters by a self-organising map" in text
    assert "2 on the map of all events and 1 on the map of ILC alone" in text
    assert "other cells than their map is for: 1 more." in text
    assert "10 on all events (weakest cluster 0.7), 20 on ILC (weakest cluster 0.6)" in text
    assert "Unstable are 1 of 3 clusters" in text
    assert "not give them again: ILC2 (1)" in text
    assert "Clusters were found for neutrophils and ILC2." in text
    assert "Clusters cannot tell basophils apart" in text
    assert "The panel cannot show progenitors: the panel lacks CD34." in text
    assert "in 1 of 3 populations; they do not in ILC2 (F1 0.55) and pop 2 (F1 0.45)." in text


def test_a_number_that_was_asked_for_was_not_chosen(tmp_path):
    text = " ".join(chapter(tmp_path, config(number=12)).sentences)
    assert "The configuration asks for 12 on every map." in text
    assert "largest of those tried" not in text


def test_leiden_tries_no_numbers(tmp_path):
    columns, _ = CLUSTERS["numbers"]
    text = " ".join(chapter(tmp_path, config(method="leiden"), numbers=(columns, [])).sentences)
    assert "3 clusters by Leiden communities" in text
    assert "largest of those tried" not in text


def test_stable_clusters_that_agree_are_said_to(tmp_path):
    columns, rows = CLUSTERS["annotation"]
    agreeing = CLUSTERS["agreement_summary"]
    text = " ".join(
        chapter(
            tmp_path,
            annotation=(columns, rows[:2]),
            agreement_summary=(agreeing[0], agreeing[1][:1]),
        ).sentences
    )
    assert "Other seeds and other patients give every cluster again." in text
    assert "mean the same cells in 1 of 1 populations." in text


def test_outliers_alone_are_listed(tmp_path):
    sections = {section.name: section for section in chapter(tmp_path).tables}
    assert [cells[0] for cells, _ in sections["outliers"].rows] == ["S_odd"]
    assert sections["outliers"].rows[0][0][-1] == "Th2 × 0.21"
    assert len(sections["annotation"].rows) == 4
    columns, rows = CLUSTERS["outliers"]
    none = chapter(tmp_path, outliers=(columns, rows[1:])).tables[0]
    assert (none.rows, none.empty) == ([], "No sample is unlike the others.")


def test_the_cells_are_linked_from_the_page(tmp_path):
    tables = cluster_tables(tmp_path) | {"cells": tmp_path / "flow" / "cells.h5ad"}
    found = cluster_chapter(tables, [], config(), tmp_path / "report.html")
    assert found.file.href == "flow/cells.h5ad"
    assert chapter(tmp_path).file is None


def test_no_chapter_without_clusters(tmp_path):
    assert cluster_chapter({}, [], config(method="none"), tmp_path / "report.html") is None


def test_normalisation_is_judged(tmp_path):
    text = " ".join(chapter(tmp_path, **with_guard()).sentences)
    assert "Normalisation brings batches nearer" in text
    assert "0.300 before, 0.100 after, 0.020 by chance." in text
    assert "Warning: the difference b - a of CD25 in all events shrinks to 40%" in text
    assert guard_sentences(None) == []


@pytest.mark.parametrize(("primary", "expected"), [("ILC2", 1), ("neutrophils", 0), ("Th2", 0)])
def test_disagreement_matters_for_primary_populations(tmp_path, primary, expected):
    path = cluster_tables(tmp_path)["agreement_summary"]
    assert set(read_table(path)["status"]) == {"agree", "disagree"}
    vocabulary = tmp_path / "populations.yaml"
    vocabulary.write_text(
        "leukocytes: {parent: null, flow: ''}\n"
        f"{primary}: {{parent: leukocytes, flow: '', primary: true}}\n"
        "pop_2: {parent: leukocytes, flow: ''}\n"
    )
    known = load_vocabulary(vocabulary)
    assert isinstance(known[primary], Population)
    assert len(disagreements(path, known)) == expected
    assert disagreements(None, known) == []
