import numpy as np
import pytest

from biocross.cohort.phenotypes import parse_words
from biocross.cohort.vocabulary import UNASSIGNED, Population, load_vocabulary, within
from biocross.flow.clusters.annotation import (
    MIN_MARGIN,
    MIN_SCORE,
    annotate_clusters,
)
from biocross.flow.fcs import read_fcs

MARKERS = (
    *("CD45", "CD3", "CD19", "CD14", "CD16", "CD56", "HLA-DR", "CD123", "CD127", "CD4", "CD8"),
    *("CD45RA", "CCR7", "CRTH2", "CD25", "CD117", "SSC-A", "CD11c", "CD1c"),
)
ZEROS = dict.fromkeys(MARKERS, 0.1)
NEGATIVE, DIM, POSITIVE, BRIGHT = 0.2, 0.45, 0.7, 0.9
# Clusters, each by what its cells bear beside CD45; debris bears nothing.
CLUSTERS = {
    "CD4_naive": "CD3 CD4 CD45RA CCR7 CD127",
    "CD4_memory": "CD3 CD4 CCR7 CD127",
    "Th2": "CD3 CD4 CRTH2 CD127",
    "Treg": "CD3 CD4 CCR7 CD25hi CD127dim",
    "CD8_naive": "CD3 CD8 CD45RA CCR7 CD127",
    "CD8_effector": "CD3 CD8 CD45RA",
    "T_cells": "CD3 CD127",
    "B_cells": "CD19 HLA-DR CD45RA",
    "NK_dim": "CD56 CD16 CD45RA",
    "NK_bright": "CD56hi",
    "monocytes_classical": "CD14hi HLA-DR CD11c CD4dim SSC-A",
    "monocytes_nonclassical": "CD14dim CD16 HLA-DR CD11c SSC-A",
    "cDC2": "HLA-DR CD11c CD1c",
    "basophils": "CD123hi CRTH2",
    "ILC2_CD117high": "CD127 CRTH2 CD117",
    "ILC3_ILCP": "CD127 CD117",
    UNASSIGNED: None,
}
SIZES = {"ILC2_CD117high": 60, "ILC3_ILCP": 60, "Th2": 200, "basophils": 300, "cDC2": 300}
N = 800


@pytest.fixture(scope="module")
def shipped(pytestconfig):
    return load_vocabulary(pytestconfig.rootpath / "config" / "populations.yaml")


def draw(clusters, seed=5, markers=MARKERS):
    """Draw the events of clusters, and number these from 1."""
    rng = np.random.default_rng(seed)
    parts, numbers = [], []
    for number, (name, text) in enumerate(clusters.items(), 1):
        bears = {} if text is None else {"CD45": POSITIVE}
        for word in (text or "").split():
            marker = word.removesuffix("hi").removesuffix("dim")
            bears[marker] = {"hi": BRIGHT, "dim": DIM}.get(word[len(marker) :], POSITIVE)
        n = SIZES.get(name, N)
        centre = [bears.get(marker, NEGATIVE) for marker in markers]
        parts.append(rng.normal(centre, 0.05, (n, len(markers))))
        numbers += [number] * n
    return np.concatenate(parts).astype(np.float32), np.array(numbers)


def names(found):
    return [annotation.population for annotation in found.annotations]


@pytest.fixture(scope="module")
def events():
    return draw(CLUSTERS)


@pytest.fixture(scope="module")
def found(events, shipped):
    return annotate_clusters(*events, MARKERS, shipped, ZEROS)


def test_every_cluster_gets_its_name(found):
    assert names(found) == list(CLUSTERS)
    for annotation in found.annotations:
        if annotation.population != UNASSIGNED:
            assert annotation.score > 0.8
            assert annotation.margin > 0.5
        assert annotation.given_by == "phenotype"


def test_what_decided_is_said(found):
    words = {a.population: a.words for a in found.annotations}
    assert words["Th2"].startswith("CD45+ 1.00, CD3+ 1.00, ")
    assert "CRTH2+ 1.00" in words["Th2"]
    assert words["T_cells"].partition("; not ")[2].split(":")[0] in ("CD4_T", "CD8_T")
    unassigned = next(a for a in found.annotations if a.population == UNASSIGNED)
    assert (unassigned.runner_up, unassigned.words) == ("leukocytes", "not leukocytes: CD45+ .00")
    assert unassigned.score < 0.01


def test_skipped_populations_and_borders_are_reported(found, events, shipped):
    assert found.skipped["gd_T"] == "the panel lacks TCRgd"
    assert found.skipped["plasmablasts"] == "the panel lacks CD27, CD38"
    borders = {(b.population, b.marker): b.levels for b in found.borders}
    assert 0.35 < borders["leukocytes", "CD3"].low < 0.55
    assert borders["leukocytes", "CD123"].low < 0.8
    assert {marker for population, marker in borders if population == "CD4_T"} >= {"CD45RA"}


def test_the_missing_positive_marker_hurts(shipped):
    # All that an ILC lacks is absent; a single marker that it must bear is absent too.
    clusters = {**CLUSTERS, "leukocytes": ""}
    found = annotate_clusters(*draw(clusters), MARKERS, shipped, ZEROS)
    assert names(found) == list(clusters)


def test_order_and_numbers_of_clusters_do_not_matter(events, found, shipped):
    values, cluster = events
    order = np.random.default_rng(1).permutation(cluster.size)
    again = annotate_clusters(values[order], cluster[order] * 7, MARKERS, shipped, ZEROS)
    assert [a.cluster for a in again.annotations] == [7 * a.cluster for a in found.annotations]
    assert names(again) == names(found)


def test_events_outside_any_cluster_are_not_looked_at(events, found, shipped):
    values, cluster = events
    more = np.concatenate([values, np.full((500, len(MARKERS)), 5, np.float32)])
    numbers = np.concatenate([cluster, np.zeros(500, int)])
    again = annotate_clusters(more, numbers, MARKERS, shipped, ZEROS)
    assert again.annotations == found.annotations


def test_missing_markers_never_give_a_wrong_name(events, found, shipped):
    values, cluster = events
    for missing in MARKERS:
        kept = [i for i, marker in enumerate(MARKERS) if marker != missing]
        markers = [MARKERS[i] for i in kept]
        less = annotate_clusters(values[:, kept], cluster, markers, shipped, ZEROS)
        named = {
            a.cluster: [*within(a.population, shipped)]
            for a in found.annotations
            if a.population in shipped
        }
        for annotation in less.annotations:
            if annotation.population != UNASSIGNED:
                assert annotation.population in named.get(annotation.cluster, ()) or (
                    # Without CD25 Treg are memory cells.
                    missing == "CD25" and annotation.population == "CD4_memory"
                ), (missing, annotation)


def test_samples_without_a_marker(events, found, shipped):
    values, cluster = events
    values = values.copy()
    values[np.arange(len(values)) % 3 > 0, MARKERS.index("CRTH2")] = np.nan
    again = annotate_clusters(values, cluster, MARKERS, shipped, ZEROS)
    assert names(again) == names(found)
    values[:, MARKERS.index("CD4")] = np.nan
    without = names(annotate_clusters(values, cluster, MARKERS, shipped, ZEROS))
    assert "CD4_T" not in without
    assert without[0] == "T_cells"


def test_cells_without_a_border_of_their_own_have_that_of_the_wider_population(shipped):
    # All innate lymphoid cells are ILC2 here: nothing among them shows where CRTH2+ begins.
    clusters = {name: text for name, text in CLUSTERS.items() if name != "ILC3_ILCP"}
    values, cluster = draw(clusters)
    found = annotate_clusters(values, cluster, MARKERS, shipped, zeros={"CD117": 0.1})
    borders = {(b.population, b.marker): b.levels.low for b in found.borders}
    assert borders["ILC", "CRTH2"] == borders["leukocytes", "CRTH2"]
    assert "ILC2_CD117high" in names(found)


def test_mixed_clusters_stay_where_they_are_sure(events, shipped):
    values, cluster = events
    mixed = np.where(cluster == 5, 1, cluster)  # naive CD4 and CD8 T cells
    found = annotate_clusters(values, mixed, MARKERS, shipped, ZEROS)
    assert found.annotations[0].population == "T_cells"
    assert MIN_SCORE >= 0.5
    strict = annotate_clusters(values, cluster, MARKERS, shipped, ZEROS, min_score=1.01)
    assert set(names(strict)) == {UNASSIGNED}


def test_two_populations_of_one_phenotype_are_not_told_apart(events):
    vocabulary = {
        name: Population(name, parent, parent, phenotype=parse_words(phenotype))
        for name, parent, phenotype in (
            ("T_cells", None, "CD3+"),
            ("one", "T_cells", "CD4+"),
            ("other", "T_cells", "CD4+ CD8-"),
        )
    }
    found = annotate_clusters(*events, MARKERS, vocabulary, ZEROS)
    assert set(names(found)) == {"T_cells", UNASSIGNED}
    apart = annotate_clusters(*events, MARKERS, vocabulary, ZEROS, min_margin=0.0)
    assert "one" in names(apart)
    assert MIN_MARGIN > 0


def test_no_phenotypes_and_one_cluster(events, shipped):
    values, cluster = events
    bare = {name: entry._replace(phenotype=()) for name, entry in shipped.items()}
    found = annotate_clusters(values, cluster, MARKERS, bare, ZEROS)
    assert set(names(found)) == {UNASSIGNED}
    few = annotate_clusters(values[:3], cluster[:3], MARKERS, shipped, ZEROS)
    assert names(few) == [UNASSIGNED]
    none = annotate_clusters(values[:0], cluster[:0], MARKERS, shipped, ZEROS)
    assert none.annotations == []


def test_shapes_are_checked(events, shipped):
    values, cluster = events
    with pytest.raises(ValueError, match="values have shape"):
        annotate_clusters(values, cluster[1:], MARKERS, shipped)


SMEARED = ("CD45", "CD3", "CD20", "HLA-DR", "CD14", "CD33", "CD7", "CD4")
NOISE = {
    "CD4_T": "CD45 CD3 CD4 CD7",
    "T_cells": "CD45 CD3 CD7",
    "B_cells": "CD45 CD20 HLA-DR",
    "monocytes": "CD45 HLA-DR CD14 CD33",
    "NK_cells": "CD45 CD7",
}


def draw_mass(clusters, smear, seed=3, n=600):
    """Draw clusters as mass cytometry shows them, on the scale arcsinh(counts / 5).

    Whatever a cell bears is smeared, and a share of the cells bear of each marker in `smear` a
    little that is not theirs.
    """
    rng = np.random.default_rng(seed)
    parts, numbers = [], []
    for number, text in enumerate(clusters, 1):
        counts = rng.poisson(rng.gamma(0.7, 2.0, (n, len(SMEARED)))).astype(float)
        for i, marker in enumerate(SMEARED):
            level = {"CD45": 300, "CD3": 150, "CD7": 150, "CD20": 150}.get(marker, 60)
            if marker in text.split():
                counts[:, i] += rng.poisson(rng.gamma(2.0, level / 2, n))
            elif f"{marker}?" in text.split():
                counts[:, i] += rng.poisson(rng.gamma(2.0, level / 4, n))
            elif marker in smear:
                counts[:, i] += rng.poisson(rng.gamma(1.0, 10.0, n)) * (rng.random(n) < 0.4)
        parts.append(np.arcsinh((counts - rng.random(counts.shape)) / 5))
        numbers += [number] * n
    return np.concatenate(parts).astype(np.float32), np.array(numbers)


def name_mass(clusters, shipped, smear=("CD14", "CD33", "HLA-DR"), markers=SMEARED, **options):
    values, cluster = draw_mass(clusters, smear, **options)
    return annotate_clusters(values, cluster, markers, shipped, dict.fromkeys(markers, 0.0))


def test_smeared_markers_of_mass_cytometry(shipped):
    found = name_mass([*NOISE.values()], shipped)
    assert names(found) == [*NOISE]


def test_one_word_in_doubt_is_excused_if_the_rest_is_sure(shipped):
    # T cells that the map has set apart for their noise in CD33, or in CD33 and CD14.
    odd = {"one": "CD45 CD3 CD7 CD4 CD33?", "two": "CD45 CD3 CD7 CD4 CD33? CD14?"}
    found = name_mass([*NOISE.values(), *odd.values()], shipped)
    levels = {b.marker: b.levels for b in found.borders if b.population == "leukocytes"}
    assert levels["CD33"].is_doubtful
    one, two = found.annotations[-2:]
    assert one.population == "CD4_T"
    assert 0.5 <= one.score < 0.75
    assert "(in doubt)" in one.words
    assert "CD33- ." in one.words
    assert two.population == "leukocytes"


def test_nothing_is_excused_where_cells_do_not_surely_bear_what_they_should(shipped):
    clusters = [*NOISE.values(), "CD45 CD3 CD7 CD4 CD33?", "CD45 CD3 CD7 CD4 CD33? CD14?"]
    values, cluster = draw_mass(clusters, ("CD14", "CD33", "HLA-DR"))
    zeros = dict.fromkeys(SMEARED, 0.0)
    odd, none = np.flatnonzero(cluster == 6), np.flatnonzero(cluster == 5)
    column = SMEARED.index("CD3")
    for n_without, name in ((100, "CD4_T"), (250, "leukocytes")):
        # Cells without CD3: three of five that bear it are enough for CD3+, not for more.
        values[odd[:n_without], column] = values[none[:n_without], column]
        found = annotate_clusters(values, cluster, SMEARED, shipped, zeros)
        assert found.annotations[5].population == name


def test_a_firm_border_is_no_matter_of_doubt(shipped):
    # T cells with CD19: two cells that were taken for one.
    clusters = {**CLUSTERS, "leukocytes": "CD3 CD4 CD19 HLA-DR CD127"}
    found = annotate_clusters(*draw(clusters), MARKERS, shipped, ZEROS)
    assert names(found) == list(clusters)
    assert not any("in doubt" in annotation.words for annotation in found.annotations)


def test_noise_on_the_scale_of_counts_is_never_positive(shipped):
    # Slices of the noise in CD33, which no cell bears here.
    rng = np.random.default_rng(1)
    kinds = {"CD4_T": "CD45 CD3 CD4 CD7", "B_cells": "CD45 CD20 HLA-DR", "NK_cells": "CD45 CD7"}
    values, cluster = draw_mass([*kinds.values()], smear=(), n=4000)
    noise = values[:, SMEARED.index("CD33")]
    for number in (1, 2, 3):
        own = np.flatnonzero(cluster == number)
        rank = np.argsort(np.argsort(noise[own] + rng.normal(0, noise.std() / 4, own.size)))
        cluster[own] = 10 * number + rank * 8 // own.size
    found = annotate_clusters(values, cluster, SMEARED, shipped, dict.fromkeys(SMEARED, 0.0))
    assert names(found) == [name for name in kinds for _ in range(8)]
    borders = {(b.population, b.marker): b.levels for b in found.borders}
    assert borders["leukocytes", "CD33"].source != "clusters"


def test_b_cells_without_cd19_must_bear_hla_dr(shipped):
    clusters = [*NOISE.values(), "CD45 CD20"]
    assert names(name_mass(clusters, shipped)) == [*NOISE, "leukocytes"]


def test_dendritic_cells_of_a_panel_without_cd16_are_those_with_cd123(shipped):
    kept = [i for i, marker in enumerate(MARKERS) if marker != "CD16"]
    clusters = {**CLUSTERS, "pDC": "HLA-DR CD123hi"}
    values, cluster = draw(clusters)
    found = annotate_clusters(values[:, kept], cluster, [MARKERS[i] for i in kept], shipped, ZEROS)
    named = dict(zip(clusters, names(found), strict=True))
    assert named["pDC"] == "pDC"
    assert named["monocytes_nonclassical"] in ("leukocytes", "monocytes")
    assert named["cDC2"] == "leukocytes"


@pytest.mark.data
def test_manual_gates_of_real_mass_cytometry(test_data, shipped):
    lineage = (*("CD3", "CD45", "CD4", "CD20", "CD33", "CD123", "CD14", "IgM", "HLA-DR", "CD7"),)
    values, gates = [], []
    for path in sorted((test_data / "bodenmiller").glob("*.fcs")):
        file = read_fcs(path)
        channels = [channel.split("(")[0] for channel in file.channels]
        counts = file.events[:, [channels.index(marker) for marker in lineage]]
        values.append(np.arcsinh(counts / 5).astype(np.float32))
        gates += [path.stem.split("_", 1)[1]] * len(counts)
    # Every gate of every well is a cluster.
    wells, cluster = np.unique(gates, return_inverse=True)
    found = annotate_clusters(
        np.concatenate(values), cluster + 1, lineage, shipped, dict.fromkeys(lineage, 0.0)
    )
    named = dict(zip(wells, names(found), strict=True))
    expected = {"cd4+": "CD4_T", "cd8+": "T_cells", "nk": "NK_cells", "igm+": "B_cells"}
    expected |= {"igm-": "B_cells", "cd14+hladrmid": "monocytes"}
    for well, population in named.items():
        if (gate := well.rsplit("_", 1)[0]) in expected:
            assert population == expected[gate], well
        elif gate == "dendritic" or gate.startswith("cd14-hladr"):
            assert population in ("leukocytes", "dendritic_cells", "pDC"), well
