"""Every file that is no GatingML 2.0 and no FlowJo 10 workspace is refused by its name."""

import pytest

from biocross.errors import GatingError
from biocross.flow.imported.load import load_gates

GML15 = '<g:Gating-ML xmlns:g="http://www.isac-net.org/std/Gating-ML/v1.5/gating"/>'
FLOWJO_9 = '<Workspace version="1.6" flowJoVersion="9.9.6"><SampleList/></Workspace>'


@pytest.mark.parametrize(
    ("name", "content", "what", "remedy"),
    [
        ("a.wspt", "<Workspace/>", "FlowJo template", "apply it to the samples"),
        ("a.jo", "anything", "FlowJo 9", "FlowJo 10"),
        ("a.acs", "PK\x03\x04", "archive (ACS)", "unpack it"),
        ("a.fey", "anything", "FCS Express", "GatingML 2.0"),
        ("a.analysis", "PK\x03\x04", "Kaluza", "GatingML 2.0"),
        ("a.omiq", "{}", "OMIQ", "GatingML 2.0"),
        ("a.json", '{"workflow": 1}', "JSON", "GatingML 2.0"),
        ("a.xml", FLOWJO_9, "FlowJo 9.9.6", "FlowJo 10"),
        ("a.wsp", '<Workspace version="1.6"/>', "FlowJo 9 or older", "FlowJo 10"),
        ("a.xml", "<plist/>", "FlowJo 9", "FlowJo 10"),
        ("a.xml", '<bdfacs version="Version 6.1.3"/>', "FACSDiva", "FlowJo 10"),
        ("a.xml", GML15, "GatingML 1.5", "GatingML 2.0"),
        ("a.xml", "<KaluzaAnalysis/>", "Kaluza", "GatingML 2.0"),
        ("a.xml", "<FCSExpressLayout/>", "FCS Express", "GatingML 2.0"),
        ("a.xml", "<html/>", 'root is "html"', "GatingML 2.0"),
        ("a.xml", "<Workspace", "broken XML", "again"),
        ("a.wsp", "", "is empty", "again"),
        ("a.wsp", "PK\x03\x04kaluza", "zip archive (of Kaluza)", "GatingML 2.0"),
        ("a.xml", "sample,count\n", "no XML", "GatingML 2.0"),
        ("a.fcs", "FCS3.1    ", "FCS file", "file of gates"),
        ("a.yaml", "gates: {}", "YAML", "inputs.gating"),
    ],
)
def test_a_foreign_file_is_named_with_its_remedy(tmp_path, name, content, what, remedy):
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(GatingError) as refusal:
        load_gates(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert what in str(refusal.value)
    assert remedy in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GatingError, match="there is no such file"):
        load_gates(tmp_path / "gates.wsp")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(GatingError, match="cannot be opened"):
        load_gates(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_not_matter(write_gatingml, parts, encoding):
    path = write_gatingml(parts["gatingml_gate"]("A", "RectangleGate", parts["axis"]("FSC-A", 1)))
    path.write_text(path.read_text("utf-8"), encoding)
    assert load_gates(path).gates == ("A",)


def test_the_content_decides_not_the_ending(write_workspace, parts):
    gate = parts["population"]("A", parts["shape"]("RectangleGate", parts["axis"]("FSC-A", 1)))
    path = write_workspace(parts["sample"]("a.fcs", gate), name="study.xml")
    assert load_gates(path).form == "flowjo"


def test_a_workspace_without_samples_or_gates_is_refused(write_workspace, parts):
    with pytest.raises(GatingError, match="has no samples"):
        load_gates(write_workspace())
    with pytest.raises(GatingError, match="holds no gates"):
        load_gates(write_workspace(parts["sample"]("a.fcs")))


def test_a_file_without_a_usable_gate_says_why(write_gatingml, parts):
    path = write_gatingml(parts["gatingml_gate"]("A", "MagicGate", parts["axis"]("FSC-A", 1)))
    with pytest.raises(GatingError, match="MagicGate is not a gate of GatingML"):
        load_gates(path)
