import pytest

from biocross.cohort.checks import inspect_cohort
from biocross.cohort.config import complete_config
from biocross.cohort.design import Sample
from biocross.cohort.libraries import cell_libraries


def rna(name, path, hashtag=""):
    return Sample(name, "P1", "baseline", "rna", path, "b1", "pbmc", hashtag=hashtag)


def test_a_library_may_carry_samples_and_a_sample_may_lie_in_libraries():
    samples = [rna("S1", "a.h5", "T1"), rna("S2", "a.h5", "T2"), rna("S3", "b.h5; c.h5")]
    found = cell_libraries(samples)
    assert {name: one.samples for name, one in found.items()} == {
        "a": ("S1", "S2"),
        "b": ("S3",),
        "c": ("S3",),
    }
    assert found["a"].hashtags == ("T1", "T2")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["x/a.h5", "y/a.h5"], ["x_a", "y_a"]),
        (
            ["P1/outs/filtered_feature_bc_matrix.h5", "P2/outs/filtered_feature_bc_matrix.h5"],
            ["P1", "P2"],
        ),
        (["lib 1/", "lib/2"], ["lib_1", "2"]),
        (["a.h5", "a.h5ad"], ["a", "a_2"]),
        (["../up/a.h5"], ["a"]),
    ],
)
def test_names_are_unique_and_name_files(paths, names):
    samples = [rna(f"S{number}", path) for number, path in enumerate(paths)]
    assert [*cell_libraries(samples)] == names


def with_rna(study, *rows):
    """Add RNA samples of patient P1; return the errors."""
    path = study.folder / "samples.tsv"
    head, *lines = path.read_text().splitlines()
    lines = [f"{line}\t" for line in lines] + ["\t".join(row) for row in rows]
    path.write_text("\n".join([f"{head}\thashtag", *lines]) + "\n")
    (study.folder / "fcs" / "lib.h5").touch()
    (study.folder / "fcs" / "folder").mkdir()
    return [str(p) for p in inspect_cohort(complete_config(study.config))[1] if p.is_error]


def row(name, path, hashtag, visit="baseline", modality="rna"):
    return (name, "P1", visit, modality, path, "lot_1", "pbmc", hashtag)


def test_hashed_libraries_and_folders_are_found(study):
    assert with_rna(study, row("R1", "lib.h5", "T1"), row("R2", "lib.h5", "T2", "month_4")) == []


def test_a_folder_is_a_library_too(study):
    assert with_rna(study, row("R1", "folder;lib.h5", "")) == []


def test_samples_that_nothing_tells_apart_are_named(study):
    errors = with_rna(study, row("R1", "lib.h5", "T1"), row("R2", "lib.h5", "", "month_4"))
    (error,) = errors
    assert "row 7" in error
    assert '2 samples share the library "lib.h5"' in error


def test_the_same_hashtag_twice_is_named(study):
    errors = with_rna(study, row("R1", "lib.h5", "T1"), row("R2", "lib.h5", "T1", "month_4"))
    assert errors == [
        f'{study.folder / "samples.tsv"} row 7: hashtag "T1" of library "lib.h5" is already in '
        "row 6"
    ]


def test_a_hashtag_of_an_fcs_file_is_out_of_place(study):
    path = study.folder / "samples.tsv"
    errors = with_rna(study)
    assert errors == []
    text = path.read_text().replace("whole_blood\t\n", "whole_blood\tT1\n", 1)
    path.write_text(text)
    (error,) = [str(p) for p in inspect_cohort(complete_config(study.config))[1] if p.is_error]
    assert "hashtag is for single-cell libraries" in error


def test_missing_libraries_and_files_are_named(study):
    study.config["cells"] = {"gene_sets": [], "reference": "nowhere.h5ad"}
    errors = with_rna(study, row("R1", "lib.h5; lob.h5", ""))
    assert 'cells.reference: there is no file "nowhere.h5ad"' in errors
    assert any('lob.h5"; did you mean "lib.h5"?' in error for error in errors)
