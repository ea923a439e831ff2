"""Which sample of a workspace is which file of the cohort."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biocross.flow.imported.matching import CohortFile, match_samples
from biocross.flow.imported.model import WorkspaceSample as Sample


def keys(workspace, *files):
    return match_samples(workspace, files).keys


def test_the_file_name_comes_first_whatever_the_folder_and_case():
    workspace = [Sample("1", "P01_V1.FCS", "file:/D:/x/P01_V1.FCS", "other", 10)]
    matching = match_samples(workspace, [CohortFile("s", "/lab/p01_v1.fcs", "", 10)])
    assert matching.matches[0][:3] == ("s", "1", "file name")
    assert matching.not_in_cohort == matching.not_in_workspace == ()


def test_a_renamed_sample_is_found_by_its_uri_then_by_its_fil():
    workspace = [
        Sample("1", "Anna, visit 1", "file:/D:/my%20study/a%20b.fcs", "t.fcs", 10),
        Sample("2", "Anna, visit 2", "file:/D:/study/export_1.fcs", "tube_7.fcs", 20),
    ]
    files = CohortFile("a", "x/a b.fcs", "t.fcs", 10), CohortFile("b", "y.fcs", "tube_7.fcs", 20)
    matching = match_samples(workspace, files)
    assert [match.by for match in matching.matches] == ["URI", "$FIL"]
    assert matching.keys == {"a": "1", "b": "2"}


def test_thirty_files_that_share_two_fil_are_all_matched():
    """As met in real data: a default of matching by $FIL loads none of them."""
    workspace = [
        Sample(str(n), f"P{n:02}.fcs", f"file:/D:/P{n:02}.fcs", f"Tube_{n % 2}.fcs", 1000 + n)
        for n in range(30)
    ]
    files = [CohortFile(f"s{n}", f"P{n:02}.fcs", f"Tube_{n % 2}.fcs", 1000 + n) for n in range(30)]
    assert keys(workspace, *files) == {f"s{n}": str(n) for n in range(30)}
    renamed = [file._replace(path=f"new_{file.path}") for file in files]
    matching = match_samples(workspace, renamed)
    assert matching.keys == {}
    assert "is not unique" in matching.matches[0].note
    assert len(matching.not_in_cohort) == 30


def test_a_file_with_other_events_is_not_the_one_that_was_gated():
    workspace = [Sample("1", "a.fcs", "", "a.fcs", 500)]
    match = match_samples(workspace, [CohortFile("s", "a.fcs", "a.fcs", 499)]).matches[0]
    assert match.key == ""
    assert "500 events where the file has 499" in match.note


def test_files_of_one_name_are_told_apart_by_events_then_by_folder():
    workspace = [
        Sample("1", "tube.fcs", "file:/D:/study/P01/tube.fcs", "", 10),
        Sample("2", "tube.fcs", "file:/D:/study/P02/tube.fcs", "", 10),
        Sample("3", "tube.fcs", "file:/D:/study/P03/tube.fcs", "", 30),
    ]
    files = [CohortFile(f"s{n}", f"/data/P0{n}/tube.fcs", "", 10 if n < 3 else 30) for n in (1, 2)]
    files.append(CohortFile("s3", "/elsewhere/tube.fcs", "", 30))
    assert keys(workspace, *files) == {"s1": "1", "s2": "2", "s3": "3"}
    lost = match_samples(workspace, [CohortFile("s", "/elsewhere/tube.fcs", "", 10)]).matches[0]
    assert lost.key == ""
    assert "several samples have its file name" in lost.note


def test_one_sample_is_never_given_to_two_files():
    workspace = [Sample("1", "a.fcs", "", "", None)]
    matching = match_samples(workspace, [CohortFile("s", "x/a.fcs"), CohortFile("t", "y/a.fcs")])
    assert matching.keys == {}
    assert matching.matches[0].note == '"a.fcs" of the workspace fits t as well'


def test_the_stronger_claim_wins():
    workspace = [Sample("1", "a.fcs", "", "b.fcs", None)]
    files = CohortFile("by fil", "z.fcs", "b.fcs"), CohortFile("by name", "a.fcs", "q.fcs")
    assert keys(workspace, *files) == {"by name": "1"}


@pytest.mark.parametrize("n_events", [None, 5])
def test_an_unconfirmed_match_says_so(n_events):
    workspace = [Sample("1", "a.fcs", "", "", n_events)]
    match = match_samples(workspace, [CohortFile("s", "a.fcs", "", 5)]).matches[0]
    assert match.key == "1"
    assert bool(match.note) == (n_events is None)


def test_files_that_are_not_there_are_listed():
    workspace = [Sample("1", "gone.fcs", "file:/D:/gone.fcs", "", 3)]
    matching = match_samples(workspace, [CohortFile("s", "a.fcs", "", 3)])
    assert [sample.name for sample in matching.not_in_cohort] == ["gone.fcs"]
    assert [match.sample_id for match in matching.not_in_workspace] == ["s"]
    assert matching.matches[0].note == "no sample of the workspace has its file name or $FIL"


NAMES = st.sampled_from(["a.fcs", "b.fcs", "c.fcs"])
FOLDERS = st.sampled_from(["/P1/", "/P2/", "C:\\P1\\"])
COUNTS = st.sampled_from([None, 1, 2])


@given(
    st.lists(st.tuples(NAMES, FOLDERS, NAMES, COUNTS), max_size=6),
    st.lists(st.tuples(NAMES, FOLDERS, NAMES, COUNTS), max_size=6),
    st.randoms(use_true_random=False),
)
def test_a_matching_is_one_to_one_and_knows_no_order(samples, files, random):
    workspace = [
        Sample(str(n), name, folder + name, fil, count)
        for n, (name, folder, fil, count) in enumerate(samples)
    ]
    cohort = [
        CohortFile(f"s{n}", folder + name, fil, count)
        for n, (name, folder, fil, count) in enumerate(files)
    ]
    matching = match_samples(workspace, cohort)
    assert len(set(matching.keys.values())) == len(matching.keys)
    by_key = {sample.key: sample for sample in workspace}
    for file in cohort:
        sample = by_key.get(matching.keys.get(file.sample_id, ""))
        if sample and None not in (sample.n_events, file.n_events):
            assert sample.n_events == file.n_events
    listed = {sample.key for sample in matching.not_in_cohort}
    assert listed == set(by_key) - set(matching.keys.values())
    random.shuffle(workspace)
    random.shuffle(cohort)
    assert match_samples(workspace, cohort).keys == matching.keys
