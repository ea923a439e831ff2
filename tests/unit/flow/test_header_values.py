import pytest

from biocross.flow.header_values import dye_of, iso_date


@pytest.mark.parametrize(
    ("channel", "dye"),
    [
        ("BV421-A", "BV421"),
        ("Comp-BUV737-A", "BUV737"),
        ("PE-Cy7-A", "PE-Cy7"),
        ("PE-A", "PE"),
        ("PE-Texas Red-A", "PE-Texas Red"),
        ("PerCP-Cy5-5-A", "PerCP-Cy5-5"),
        ("APC-H7-A", "APC-H7"),
        ("Alexa Fluor 700-A", "Alexa Fluor 700"),
        ("Pacific Blue-A", "Pacific Blue"),
        ("Qdot 525-A", "Qdot 525"),
        ("CD3 BV421-A", "BV421"),
        ("V450-A", "V450"),
        ("(Nd144)Di", "Nd144"),
        ("CD45(In115)Dd", "In115"),
        ("144Nd_CD8", "Nd144"),
        ("Ir191Di", "Ir191"),
        ("FSC-A", ""),
        ("Time", ""),
        ("CD3", ""),
        ("Y585-A", ""),
        ("FL1-H", ""),
        ("B530-A", ""),
        ("Event_length", ""),
        ("SPECIFIC", ""),
        ("", ""),
    ],
)
def test_dyes_and_isotopes(channel, dye):
    assert dye_of(channel) == dye


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("07-MAY-2009", "2009-05-07"),
        ("7-may-09", "2009-05-07"),
        ("07-May-1998", "1998-05-07"),
        ("23-Aug-02", "2002-08-23"),
        ("2009-05-07", "2009-05-07"),
        ("2009/5/7", "2009-05-07"),
        ("2009-May-07", "2009-05-07"),
        ("May 7, 2009", "2009-05-07"),
        (" 07-MAY-2009 ", "2009-05-07"),
        ("05/07/2009", "05/07/2009"),
        ("31-FEB-2009", "31-FEB-2009"),
        ("07-MAY-99999999999999999999", "07-MAY-99999999999999999999"),
        ("May-May-May", "May-May-May"),
        ("yesterday", "yesterday"),
        ("", ""),
    ],
)
def test_dates_that_are_certain_become_iso(text, iso):
    assert iso_date(text) == iso
