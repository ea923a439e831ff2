import pytest

from biocross.cohort.config import complete_config
from biocross.report.page.cluster_methods import (
    CLUSTER_REFERENCES,
    CYTONORM_REFERENCE,
    LEIDEN_REFERENCE,
    cluster_paragraphs,
    further_references,
    rna_paragraphs,
)


def config(**flow):
    inputs = {"patients": "p.tsv", "samples": "s.tsv", "panel": "p.tsv", "gating": "g.yaml"}
    return complete_config({"inputs": inputs, "design": {"levels": ["a", "b"]}, "flow": flow})


def text(**flow):
    return "\n".join(cluster_paragraphs(config(**flow)["flow"]))


@pytest.mark.parametrize(
    ("flow", "expected", "absent"),
    [
        (
            {
                "clusters": {
                    "grid": 12,
                    "number": None,
                    "events_per_sample": 4321,
                    "zoom": ["ILC", "CD4_T"],
                }
            },
            ("12 × 12 nodes", "at most 4,321 events", "markers of ILC, CD4 T.", "that all held"),
            ("Leiden", "aligned"),
        ),
        (
            {"clusters": {"number": 17, "zoom": []}},
            ("to 17 clusters each.",),
            ("of their own had",),
        ),
        ({"clusters": {"method": "leiden"}}, ("Leiden communities",), ("self-organising", "nodes")),
        ({"clusters": {"least_agreement": 0.6}}, ("an F1 score below 0.6 is reported",), ()),
        (
            {"normalisation": "anchors", "normalisation_clusters": 7},
            ("aligned with the mean of all batches in 7 clusters", "both reported"),
            (),
        ),
        (
            {"normalisation": "range", "normalisation_goal": "B2"},
            ("1st and 99th percentile", "aligned with batch B2"),
            ("anchor",),
        ),
    ],
)
def test_clusters_as_configured(flow, expected, absent):
    words = text(**flow)
    for part in expected:
        assert part in words
    for part in absent:
        assert part not in words


def test_nothing_of_clusters_where_none_were_sought():
    assert cluster_paragraphs(config(clusters={"method": "none"})["flow"]) == []


def test_references_follow_the_methods():
    assert set(CLUSTER_REFERENCES) <= set(further_references(config(), ("flow",)))
    leiden = further_references(config(clusters={"method": "leiden"}), ("flow",))
    assert leiden == (LEIDEN_REFERENCE,)
    assert further_references(config(clusters={"method": "none"}), ("flow",)) == ()
    assert CYTONORM_REFERENCE in further_references(config(normalisation="anchors"), ("flow",))
    both = further_references(config(clusters={"method": "leiden"}), ("flow", "rna"))
    assert both.count(LEIDEN_REFERENCE) == 1
    assert any("Harmony" in line for line in both)


def rna(**cells):
    return "\n".join(rna_paragraphs({"cells": config()["cells"] | cells}, True))


def test_rna_as_configured():
    words = rna(n_genes=2500, batch="library", resolutions=[0.4, 1.0])
    assert "the 2,500 most variable genes of all libraries, 40 principal components" in words
    assert "corrected it for library, never for visit or patient" in words
    assert "at resolutions 0.4, 1, and the finest" in words
    assert "design ~ patient + visit" in words
    for absent in ("of a reference", "enriched", "without"):
        assert absent not in words.replace("Cells without", "")
    assert "batches were not integrated" in rna(batch=None)
    words = rna(reference="atlas.h5ad", enriched=["ILC2"], excluded_genes=["IFI6", "MX1"])
    for part in ("took that of a reference", "enriched for ILC2", "without IFI6, MX1,"):
        assert part in words
