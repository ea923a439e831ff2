import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from biocross.errors import ConfigError
from biocross.flow.gatingml import gatingml_ids, write_gatingml
from biocross.flow.transforms import Transform, transform_exactly

TRANSFORMS = {
    "CD3": Transform("logicle", top=2.0**20, decades=5.1, width=0.83),
    "4-1BB": Transform("logicle", width=1.0, negative=0.5),
    "CD45RA/RO": Transform("arcsinh", cofactor=150.0),
    "CD45RA RO": Transform("arcsinh", cofactor=5.0),
    "FSC-A": Transform("linear"),
    "a--b->": Transform("biex", width_basis=-100.0),
}


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "new folder" / "transforms.xml"
    write_gatingml(path, TRANSFORMS)
    return path


def test_flowkit_reads_the_same_transforms(written):
    import flowkit

    read = flowkit.parse_gating_xml(str(written)).transformations
    identifiers = gatingml_ids(TRANSFORMS)
    assert len(read) == len(TRANSFORMS) - 1
    values = np.concatenate([-np.geomspace(0.01, 1e5, 200), [0], np.geomspace(0.01, 3e6, 500)])
    for marker, transform in TRANSFORMS.items():
        if transform.kind != "biex":
            theirs = read[identifiers[marker]].apply(values)
            np.testing.assert_allclose(
                theirs, transform_exactly(values, transform), rtol=0, atol=1e-9
            )


def test_document_keeps_the_standard(written):
    import flowkit
    from lxml import etree

    rules = Path(flowkit.__file__).parent / "_resources" / "Gating-ML.v2.0.xsd"
    schema = etree.XMLSchema(etree.parse(str(rules)))
    schema.assertValid(etree.parse(str(written)))


def test_biex_is_left_out_with_its_numbers_in_a_comment(written):
    (comment,) = re.findall("<!--(.*?)-->", written.read_text("utf-8"), flags=re.DOTALL)
    assert "a- -b-" in comment
    assert "width basis -100.0" in comment
    assert "--" not in comment


def test_same_transforms_same_file(written, tmp_path):
    write_gatingml(tmp_path / "again.xml", TRANSFORMS)
    assert (tmp_path / "again.xml").read_bytes() == written.read_bytes()


def test_no_transforms(tmp_path):
    write_gatingml(tmp_path / "none.xml", {})
    assert len(ET.parse(tmp_path / "none.xml").getroot()) == 0


def test_identifiers_are_allowed_and_different():
    markers = ["CD3", "4-1BB", "CD45RA/RO", "CD45RA RO", "CD45RA_RO", "γδ", "αβ", "-x", "HLA-DR"]
    identifiers = gatingml_ids(markers)
    assert identifiers["CD3"] == "CD3"
    assert identifiers["HLA-DR"] == "HLA-DR"
    assert identifiers["CD45RA_RO"] == "CD45RA_RO"
    assert len(set(identifiers.values())) == len(markers)
    assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", name) for name in identifiers.values())


@pytest.mark.parametrize("kind", ["hyperlog", "logicle"])
def test_what_is_no_transform_writes_nothing(tmp_path, kind):
    with pytest.raises(ConfigError):
        write_gatingml(tmp_path / "out.xml", {"CD3": Transform(kind, top=-1.0)})
    assert list(tmp_path.iterdir()) == []
