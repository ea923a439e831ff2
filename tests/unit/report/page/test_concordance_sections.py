from chapter_tables import RNA, rna_tables

from biocross.report.page.concordance_sections import concordance_chapter


def test_what_both_methods_support(tmp_path):
    found = concordance_chapter(rna_tables(tmp_path), [], 0.05)
    text = " ".join(found.sentences)
    assert "shown by flow cytometry and RNA alike: ILC2 (mepolizumab, month 4 - baseline)." in text
    assert "1 change shown by flow cytometry alone: pop 2" in text
    assert "In 1 comparison neither method shows a change." in text
    shown = {section.name: section for section in found.tables}
    assert [cells[2:4] for cells, _ in shown["combined_findings"].rows] == [
        ["ILC2", "both"],
        ["pop 2", "flow alone"],
    ]
    change, frequency = (cells for cells, _ in shown["concordance"].rows)
    assert change[6] == "0.7 (0.2 to 0.9)"
    assert change[9] == "7 of 8"
    assert (frequency[6], frequency[9]) == ("–", "–")


def test_no_chapter_for_one_modality(tmp_path):
    assert concordance_chapter({}, [], 0.05) is None
    names = ("concordance", "combined_findings")
    empty = rna_tables(tmp_path, **{name: (RNA[name][0], []) for name in names})
    assert concordance_chapter(empty, [], 0.05) is None
