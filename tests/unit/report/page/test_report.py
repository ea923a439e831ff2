import json
import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
from chapter_tables import cluster_tables, rna_tables
from flow_tables import flow_tables
from long_tables import LongTables, fill
from written_report import planted, report

from biocross.report.figures.style import save_figure
from biocross.report.page.first_screen import answer
from biocross.report.page.study_chapters import cohort_rows, untested
from biocross.statistics.pairs import read_pair_sheet

VOID = {"meta", "input", "link", "br", "img", "hr"}


@pytest.fixture
def tables(tmp_path):
    return LongTables(tmp_path)


class Page(HTMLParser):
    """What a browser would see: tags, text, data of tables and plots; tags must close in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.widths = [], [], []
        self.visible, self.data, self.now = "", {}, None
        self.feed(text)
        assert self.open == []
        self.data = {name: json.loads(content) for name, content in self.data.items()}

    @property
    def opening(self):
        """The text of the first screen."""
        return self.visible.split("Patients and visits\n")[-2]

    def table(self, name):
        """The rows of a table, cells joined."""
        return [" | ".join(cells) for cells, _ in self.data[f"rows-{name}"]["rows"]]

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        self.now = dict(attributes).get("id") if tag == "script" else None
        if tag == "table":
            self.widths.append([])
        elif tag == "tr":
            self.widths[-1].append(0)
        elif tag in ("td", "th"):
            self.widths[-1][-1] += int(dict(attributes).get("colspan", 1))

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.visible += data
        elif self.now:
            self.data[self.now] = self.data.get(self.now, "") + data


def test_confirmed_findings_open_the_report(tables, tmp_path):
    planted(tables)
    tables.name_primary("ILC2", "pop_2")
    page = Page(report(tables, tmp_path))
    assert "During mepolizumabILC2 rose. Equivalent to no change: pop 2." in page.opening
    assert "Primary populations (confirmatory family, 2 tests" in page.opening
    assert re.search(
        r"ILC2 rose from [\d.]+ to [\d.]+ % of leukocytes during mepolizumab", page.opening
    )
    assert re.search(
        r"pop 2 during mepolizumab .*: equivalent within × 0.8 to 1.25; odds ×", page.opening
    )
    assert "due to" not in page.visible
    assert "they cannot be ascribed to it" in page.opening
    assert ("a", {"href": "#explorer", "data-population": "ILC2"}) in page.tags


def test_one_file_without_anything_from_elsewhere(tables, tmp_path):
    planted(tables)
    text = report(tables, tmp_path)
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "http" not in text.replace("http://www.w3.org/", "")
    assert "{{" not in text


@pytest.fixture
def chapters(tmp_path):
    """Tables and figures of clusters, RNA and concordance."""
    clusters = cluster_tables(tmp_path) | {"cells": tmp_path / "flow" / "cells.h5ad"}
    figure, axis = plt.subplots(figsize=(3, 2))
    axis.plot([1, 2])
    drawn = [tmp_path / f"markers.{form}" for form in ("svg", "png")]
    save_figure(figure, *drawn)
    painted = tmp_path / "umap.png"
    painted.write_bytes(drawn[1].read_bytes())
    (tmp_path / "figures").mkdir()
    numbers = tmp_path / "figures" / "markers.tsv"
    numbers.write_text("cluster\tmedian\n</script>\t1\n")
    figures = {"clusters": [*drawn, painted, numbers], "rna": [painted], "concordance": []}
    return {"clusters": clusters, "rna": rna_tables(tmp_path), "figures": figures}


def test_chapters_stand_in_the_same_file(tables, tmp_path, chapters):
    planted(tables)
    tables.name_primary("ILC2")
    text = report(tables, tmp_path, **chapters)
    page = Page(text)
    for tag, attributes in page.tags:
        for name in ("src", "xlink:href", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), tag
        if not attributes.get("href", "#").startswith("#"):
            assert attributes["href"] == "flow/cells.h5ad"
    anchors = {attributes.get("id") for _, attributes in page.tags}
    for name in ("clusters", "rna", "concordance", "changes", "patients", "methods"):
        assert name in anchors
        assert ("a", {"href": f"#{name}"}) in page.tags
    assert text.count('src="data:image/webp') == 2
    assert text.count('src="data:image/svg+xml') == 1
    assert page.data["source-clusters-markers"] == "cluster\tmedian\n</script>\t1\n"
    assert 'scanpy.read_h5ad("' in page.visible
    assert "Gates and clusters mean different cells by ILC2" in page.opening
    assert "different cells by pop 2" not in page.opening
    assert "RNA, mepolizumab, month 4 - baseline: more at month 4" in page.opening
    assert re.search(r"ILC2 rose from .*; RNA: holds\.\n", page.opening)
    assert ("span", {"class": "for"}) in page.tags


def test_ids_are_used_once_and_links_lead_somewhere(tables, tmp_path, chapters):
    planted(tables)
    page = Page(report(tables, tmp_path, flow=flow_tables(tmp_path), **chapters))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for tag, a in page.tags if tag == "a" and a["href"].startswith("#")}
    assert links <= set(ids)
    assert len(links) > 10


def test_the_declared_source_leads_the_plots(tables, tmp_path):
    planted(tables)
    gates = list(tables.counts)
    for source in ("cluster", "single_cluster"):
        tables.counts += [row | {"source": source} for row in gates]
    data = Page(report(tables, tmp_path)).data["explorer-data"]
    found = [series["how"] for series in data["series"] if series["name"] == "ILC2"]
    # A single cluster has a plot where it is below the false discovery rate.
    assert found == ["gate", "clusters", "one cluster"]
    assert [s["how"] for s in data["series"] if s["name"] == "pop_2"] == ["gate", "clusters"]


def test_faults_of_files_stand_on_the_first_screen(tables, tmp_path):
    planted(tables)
    page = Page(report(tables, tmp_path, flow=flow_tables(tmp_path)))
    for words in (
        "Sample S2 is left out: its file cut off",
        "Mepolizumab, b - a: doublets: more were lost",
        "CD3 with CD19",
    ):
        assert words in page.opening
    assert "an exploratory loss" not in page.opening
    assert any("an exploratory loss" in row for row in page.table("quality-loss_changes"))


def test_every_row_has_as_many_cells_as_headings(tables, tmp_path):
    planted(tables)
    tables.name_primary("ILC2")
    tables.add("alone", "baseline", {"pop_0": (1, 5)})
    tables.ask("mepolizumab", "alone")
    page = Page(report(tables, tmp_path, flow=flow_tables(tmp_path)))
    (primary,) = page.widths
    assert len(set(primary)) == 1, primary
    shown = {name: data for name, data in page.data.items() if name.startswith("rows-")}
    assert len(shown) > 10
    for name, data in shown.items():
        assert {len(cells) for cells, _ in data["rows"]} == {len(data["columns"])}, name


HOSTILE = '<script>alert("1")</script>'


def test_names_cannot_become_code(tables, tmp_path):
    """Patients, treatments, populations and notes are text, whatever they hold."""
    names = planted(tables, treatment=HOSTILE, name=HOSTILE)
    for rows in (tables.samples, tables.counts, tables.pairs):
        for row in rows:
            for key in ("patient_id", "unit"):
                if row.get(key) == names[0]:
                    row[key] = 'A&B "<img src=x onerror=alert(1)>"'
    text = report(tables, tmp_path)
    page = Page(text)
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert [a.get("type") for a in scripts].count(None) == 1  # the report's own
    assert {a.get("type") for a in scripts} == {None, "application/json"}
    assert "img" not in [tag for tag, _ in page.tags]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert f"during {HOSTILE}" in page.visible
    data = page.data["explorer-data"]
    assert 'A&B "<img src=x onerror=alert(1)>"' in data["units"]
    assert HOSTILE in data["treatments"]
    assert "<h1>A &lt;b&gt;title&lt;/b&gt; &amp; more</h1>" in text


def test_without_confirmatory_rows_the_report_says_why(tables, tmp_path):
    planted(tables, n=5)
    tables.name_primary("ILC2")
    page = Page(report(tables, tmp_path))
    assert (
        "This run has no confirmatory family: no primary population was measured in at least six "
        "pairs where the configuration declares it (flow, gate, percent of parent). All that "
        "follows is exploratory." in page.visible
    )
    assert "Exploratory: other populations" in page.visible


def test_primary_populations_with_too_few_events_are_named_all_the_same(tables, tmp_path):
    """Six pairs, but hardly an event: no test, and no word that there was no family."""
    planted(tables, n=6, depth=60, factor=1.0)
    tables.name_primary("ILC2")
    page = Page(report(tables, tmp_path))
    assert "no confirmatory family" not in page.visible
    assert "No primary population was shown to change. Not tested: ILC2." in page.visible
    assert re.search(r"ILC2 during mepolizumab .*: not tested; \d+ events", page.visible)


def test_nothing_found_is_not_called_unchanged(tables, tmp_path):
    fill(tables, np.random.default_rng(3), 7, populations=6)
    page = Page(report(tables, tmp_path))
    assert "Among the other populations, none was shown to change." in page.visible
    assert page.opening.count("unchanged") == 1
    assert "“Not shown to change” does not mean unchanged." in page.opening


def test_study_that_has_only_a_table(tables, tmp_path):
    rng = np.random.default_rng(4)
    for number in range(6):
        for visit in ("baseline", "month_4"):
            percent = round(float(rng.uniform(1, 3)) * (3 if visit == "month_4" else 1), 1)
            tables.add(f"P{number}", visit, {"Th2": {"percent": percent}}, source="table")
        tables.ask("mepolizumab", f"P{number}")
    tables.name_primary("Th2")
    where = ("flow", "table", "percent_of_parent")
    page = Page(report(tables, tmp_path, confirmatory=where, samples=None))
    assert "Th2 rose from" in page.visible
    assert "Frequencies were counted elsewhere and read from a table." in page.visible
    assert "Quality of the samples" not in page.visible
    assert "FCS" not in page.visible
    assert 'href="#quality"' not in str(page.tags)


def test_study_without_any_pair(tables, tmp_path):
    tables.add("P1", "baseline", {"A": (10, 100)})
    tables.add("P2", "month_4", {"A": (10, 100)}, treatment="dupilumab")
    tables.ask("mepolizumab", "P1")
    tables.ask("dupilumab", "P2")
    page = Page(report(tables, tmp_path))
    why = "no patient was measured at both of month_4 - baseline"
    assert all(why in row for row in page.table("untested-questions"))
    assert "no confirmatory family" in page.visible


def test_same_input_same_bytes(tables, tmp_path):
    planted(tables, n=4)
    assert report(tables, tmp_path) == report(tables, tmp_path)


def test_batch_is_said_first(tables, tmp_path):
    planted(tables)
    for sample in tables.samples:
        sample["batch"] = sample["visit"]
    page = Page(report(tables, tmp_path))
    caution = "Before anything else. mepolizumab, month 4 - baseline: every pair changes batch"
    assert page.visible.index(caution) < page.visible.index("confirmatory family")


def test_answer_sorts_by_strength(tables):
    planted(tables)
    planted(tables, n=9, treatment="dupilumab", name="Th2", factor=0.2)
    tables.name_primary("ILC2", "Th2", "pop_0")
    found = answer(tables.changes(), 0.05, "visit")
    assert found["n_confirmatory"] == 4
    assert [line.split()[0] for line in found["confirmed"]] == ["Th2", "ILC2"]
    assert "Th2 fell" in found["confirmed"][0]
    assert len(found["no_claim"]) == 2
    assert not found["exploratory"] or "pop" in found["exploratory"][0]
    stricter = answer(tables.changes(), 1e-12, "visit")
    assert stricter["confirmed"] == []
    assert len(stricter["no_claim"]) == 4


def test_untested_gathers_equal_reasons(tables):
    for number in range(4):
        for visit in ("baseline", "month_4"):
            sample = dict.fromkeys(("A_1", "B"), (30 + number, 1000))
            tables.add(f"P{number}", visit, sample)
        tables.ask("mepolizumab", f"P{number}")
    rows = untested(tables.changes())
    per_ul = [row for row in rows if row["readout"] == "cells/µl"]
    assert [row["populations"] for row in per_ul] == ["A 1, B"]
    why = "neither counting beads nor a blood count of its anchor at both visits"
    assert per_ul[0]["why"] == why
    assert {row["readout"] for row in rows} == {"% of parent", "cells/µl", "composition"}
    assert {row["found_by"] for row in rows} == {"gate"}


def test_untested_single_clusters_are_in_the_file_alone(tables):
    for number in range(4):
        for visit in ("baseline", "month_4"):
            tables.add(f"P{number}", visit, {"A": (3, 1000)})
        tables.ask("mepolizumab", f"P{number}")
    gates = list(tables.counts)
    for source in ("cluster", "single_cluster"):
        tables.counts += [row | {"source": source} for row in gates]
    assert {row["found_by"] for row in untested(tables.changes())} == {"gate", "clusters"}


def test_cohort_names_who_lacks_what(tmp_path):
    (tmp_path / "pairs.tsv").write_text(
        "modality\ttreatment\tcontrast\tunit\tcomplete\tmissing\n"
        "flow\tA\tm - b\t007\tyes\t\nflow\tA\tm - b\t008\tno\tm\n"
        "flow\tB\tm - b\t009\tno\tm, b\nrna\tA\tm - b\t007\tyes\t\n"
    )
    rows = cohort_rows(read_pair_sheet(tmp_path / "pairs.tsv"))
    assert [(row["treatment"], row["complete"], row["incomplete"]) for row in rows] == [
        ("A", 1, 1),
        ("B", 0, 1),
        ("A", 1, 0),
    ]
    assert [row["who"] for row in rows] == ["008 lacks m", "009 lacks m, b", ""]
    assert [row["modality"] for row in rows] == ["flow cytometry", "flow cytometry", "RNA"]
