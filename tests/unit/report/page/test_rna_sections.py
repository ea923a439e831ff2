import pytest
from chapter_tables import RNA, gene_row, gene_table, rna_tables

from biocross.report.page.concordance_sections import concordance_chapter
from biocross.report.page.rna_sections import MOST_GENES, rna_chapter, rna_warnings


def chapter(tmp_path, **others):
    return rna_chapter(rna_tables(tmp_path, **others), [], 0.05, tmp_path / "report.html")


def sections(found):
    return {section.name: section for section in found.tables}


def test_rna_in_words(tmp_path):
    text = " ".join(chapter(tmp_path).sentences)
    assert "900 of 1,000 cells passed the quality steps; set aside: much mitochondrial RNA" in (
        text
    )
    assert "(40) and doublets (60)." in text
    assert "cells of no sample" not in text
    assert "No cells were read for S2." in text
    assert "Populations found in RNA: CD4 T." in text
    assert "RNA cannot tell Tc2;" in text
    assert "Too few cells to test genes in some samples of ILC2 (2 samples)." in text


def test_what_quality_and_integration_did(tmp_path):
    text = " ".join(chapter(tmp_path).sentences)
    assert "cells with little RNA passed after all: ILC2 (12)." in text
    assert "Quality steps took more cells of mast cells than of others." in text
    assert "Integration: batches are still apart." in text
    assert "Integration merged 1 cluster of single batches" in text


def test_losses_that_differ_between_visits_are_cautions(tmp_path):
    path = rna_tables(tmp_path)["loss_changes"]
    assert rna_warnings(path, 0.05) == ["RNA, mepolizumab, month 4 - baseline: more at month 4"]
    assert len(rna_warnings(path, 0.5)) == 2
    assert rna_warnings(None, 0.05) == []
    rows = sections(chapter(tmp_path))["rna_loss_changes"].rows
    assert [cells[2] for cells, _ in rows] == ["much mitochondrial RNA", "doublets"]


def test_genes_in_words(tmp_path):
    text = " ".join(chapter(tmp_path).sentences)
    assert "Genes were tested 3 times, in 1 combination of" in text
    assert "within each combination, are 2." in text
    assert "With fewer than three pairs nothing is claimed about the genes of ILC2" in text
    assert "Genes of B cells were not tested: 1 has it." in text


def test_two_pairs_alone_claim_nothing(tmp_path):
    rows = [gene_row("ISG15", float("nan"), n_pairs=2, status="too_few_pairs")]
    found = chapter(tmp_path, **gene_table(rows))
    assert "nothing is claimed" in " ".join(found.sentences)
    assert "Genes were tested" not in " ".join(found.sentences)
    assert sections(found)["rna_gene_changes"].rows == []


def test_only_genes_below_the_rate_are_listed(tmp_path):
    section = sections(chapter(tmp_path))["rna_gene_changes"]
    assert [cells[3] for cells, _ in section.rows] == ["IFI6", "ISG15"]
    assert section.rows[0][0][6] == "1.5 (1 to 2)"
    assert section.aside == ""


def test_the_strongest_of_many_genes_are_listed(tmp_path):
    n = MOST_GENES + 30
    rows = [gene_row(f"G{i}", 0.04 * (n - i) / n) for i in range(n)]
    section = sections(chapter(tmp_path, **gene_table(rows)))["rna_gene_changes"]
    assert len(section.rows) == MOST_GENES
    assert section.rows[0][0][3] == f"G{n - 1}"
    assert "30 more are in the table" in section.aside


def test_populations_without_markers_are_no_news(tmp_path):
    rows = sections(chapter(tmp_path))["rna_annotation"].rows
    assert [cells[0] for cells, _ in rows] == ["CD4 T", "Tc2", "eosinophils"]


@pytest.mark.parametrize("name", [name for name in RNA if name not in ("concordance",)])
def test_every_table_may_be_missing(tmp_path, name):
    tables = rna_tables(tmp_path)
    del tables[name]
    assert rna_chapter(tables, [], 0.05, tmp_path / "report.html").sentences
    assert concordance_chapter(tables, [], 0.05).tables


def test_no_chapter_without_rna(tmp_path):
    assert rna_chapter({}, [], 0.05, tmp_path / "report.html") is None
