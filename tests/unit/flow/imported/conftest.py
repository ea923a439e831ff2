"""Tiny GatingML files, FlowJo workspaces and FCS files, made by the tests."""

from xml.sax.saxutils import quoteattr

import numpy as np
import pytest

NAMESPACES = " ".join(
    f'xmlns:{prefix}="http://www.isac-net.org/std/Gating-ML/v2.0/{name}"'
    for prefix, name in (
        ("gating", "gating"),
        ("transforms", "transformations"),
        ("data-type", "datatypes"),
    )
)
CHANNELS = ("FSC-A", "FL1-A", "FL2-A")
SPILL = ((1.0, 0.25), (0.0, 1.0))
BIEX = (
    '<transforms:biex transforms:length="256" transforms:maxRange="262144" transforms:neg="0" '
    'transforms:width="-10" transforms:pos="4.42">'
)
LINEAR = '<transforms:linear transforms:minRange="0" transforms:maxRange="262144">'


@pytest.fixture
def write_gatingml(tmp_path):
    """Write the inside of a GatingML 2.0 document."""

    def write(inside, name="gates.xml"):
        path = tmp_path / name
        path.write_text(f"<gating:Gating-ML {NAMESPACES}>{inside}</gating:Gating-ML>", "utf-8")
        return path

    return write


def axis(channel, low=None, high=None, **references):
    borders = {"min": low, "max": high, **references}
    written = " ".join(f'gating:{k}="{v}"' for k, v in borders.items() if v is not None)
    return (
        f"<gating:dimension {written}>"
        f"<data-type:fcs-dimension data-type:name={quoteattr(channel)}/></gating:dimension>"
    )


def shape(kind, *axes, corners=(), attributes=""):
    points = "".join(
        "<gating:vertex>"
        + "".join(f'<gating:coordinate data-type:value="{v}"/>' for v in corner)
        + "</gating:vertex>"
        for corner in corners
    )
    return f"<gating:{kind} {attributes}>{''.join(axes)}{points}</gating:{kind}>"


def gatingml_gate(key, kind, *axes, parent=None, **more):
    under = f' gating:parent_id="{parent}"' if parent else ""
    return shape(kind, *axes, attributes=f'gating:id="{key}"{under}', **more)


def population(name, drawn, *below, count=-1, tag="Population"):
    inner = f"<Subpopulations>{''.join(below)}</Subpopulations>" if below else ""
    gate = f"<Gate>{drawn}</Gate>" if drawn else ""
    return f'<{tag} name={quoteattr(name)} owningGroup="" count="{count}">{gate}{inner}</{tag}>'


def combination(tag, name, *paths, count=-1):
    parts = "".join(f"<Dependent name={quoteattr(path)}/>" for path in paths)
    return (
        f'<{tag} name={quoteattr(name)} owningGroup="" count="{count}">'
        f"<Dependents>{parts}</Dependents></{tag}>"
    )


def scaled(scale, channel):
    tag = scale.split()[0].lstrip("<").rstrip(">")
    return f"{scale}<data-type:parameter data-type:name={quoteattr(channel)}/></{tag}>"


def matrix(prefix="Comp-", names=CHANNELS[1:], values=SPILL, attributes=""):
    parameters = "".join(f'<data-type:parameter data-type:name="{name}"/>' for name in names)
    rows = "".join(
        f'<transforms:spillover data-type:parameter="{name}">'
        + "".join(
            f'<transforms:coefficient data-type:parameter="{other}" transforms:value="{value}"/>'
            for other, value in zip(names, row, strict=True)
        )
        + "</transforms:spillover>"
        for name, row in zip(names, values, strict=True)
    )
    return (
        f'<transforms:spilloverMatrix prefix="{prefix}" name="m" suffix="" {attributes}>'
        f"<data-type:parameters>{parameters}</data-type:parameters>{rows}"
        "</transforms:spilloverMatrix>"
    )


def sample(
    name, *gates, key="1", uri=None, fil=None, tot=None, scales=None, compensation="", extra=""
):
    if scales is None:
        detectors = [prefix + c for c in CHANNELS[1:] for prefix in ("", "Comp-")]
        scales = scaled(LINEAR, CHANNELS[0]) + "".join(scaled(BIEX, c) for c in detectors)
    given = {"$FIL": fil, "$TOT": tot}
    keywords = "".join(
        f'<Keyword name="{k}" value="{v}"/>' for k, v in given.items() if v is not None
    )
    below = f"<Subpopulations>{''.join(gates)}</Subpopulations>" if gates else ""
    return (
        f'<Sample><DataSet uri={quoteattr(uri or "file:/D:/study/" + name)} sampleID="{key}"/>'
        f"{compensation}<Transformations>{scales}</Transformations>"
        f"<Keywords>{keywords}</Keywords>{extra}"
        f'<SampleNode name={quoteattr(name)} sampleID="{key}">{below}</SampleNode></Sample>'
    )


@pytest.fixture
def write_workspace(tmp_path):
    """Write a FlowJo workspace of some samples."""

    def write(*samples, name="study.wsp", version="10.8.1"):
        path = tmp_path / name
        written = f'flowJoVersion="{version}"' if version else ""
        path.write_text(
            f'<Workspace version="20.0" {written} {NAMESPACES}><Groups/>'
            f"<SampleList>{''.join(samples)}</SampleList></Workspace>",
            "utf-8",
        )
        return path

    return write


@pytest.fixture
def parts():
    """The pieces from which the tests build documents."""
    return {
        function.__name__: function
        for function in (
            axis,
            shape,
            gatingml_gate,
            population,
            combination,
            sample,
            matrix,
            scaled,
        )
    } | {"BIEX": BIEX, "LINEAR": LINEAR}


@pytest.fixture
def events():
    """Two stained populations with spill, shape (events, channels)."""
    rng = np.random.default_rng(7)
    dyes = rng.lognormal(rng.choice([4.0, 9.0], (2000, 2)), 0.8)
    stained = dyes @ np.array(SPILL) + rng.normal(0, 60, (2000, 2))
    return np.column_stack([rng.normal(60000, 9000, 2000), stained]).astype(np.float32)


@pytest.fixture
def fcs(write_fcs, events):
    """The events as a file."""
    return write_fcs("a.fcs", events, CHANNELS)
