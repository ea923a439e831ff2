"""What the words of an FCS header mean: fluorochromes and dates."""

import re
from datetime import date

_DYE = re.compile(
    r"(?<![a-z0-9])(?:"
    r"(?:bv|buv|bb|byg|rb|ry|rr|af|ax|kb|sb|qd)[- ]?\d{3}p?|v4[57]0|v500|r718"
    r"|(?:alexa ?(?:fluor)?|efluor|ef|cfluor|qdot|nova ?fluor|super ?bright|star ?bright|spark|"
    r"brilliant ?(?:ultra)? ?violet|brilliant ?blue|real ?blue|real ?yellow)"
    r"[- ]?(?:[a-z]{1,6}[- ]?)?\d{3}"
    r"|(?:per ?cp|pe|apc)(?:[-_ /]?(?:cy-?[357](?:[._-]?5)?|cf-?594|texas ?red|tr|h7|r700|"
    r"(?:dazzle|fire|vio|ef|efluor|alexa ?fluor|af)[- ]?\d{0,3}))?"
    r"|fitc|gfp|dapi|7-?aad|pac(?:ific)?[- ]?(?:blue?|orange|green)|texas ?red|cascade[- ]?yellow|"
    r"am ?cyan|vio(?:blue|green|bright)|pi|zombie(?:[- ][a-z]+)?|tdtomato|mcherry|cy[357]"
    r")(?![a-z0-9])",
    re.IGNORECASE,
)
_METAL = "Y|Rh|Pd|Cd|In|I|Xe|Cs|Ba|La|Ce|Pr|Nd|Sm|Eu|Gd|Tb|Dy|Ho|Er|Tm|Yb|Lu|Ir|Pt|Pb|Bi|Te|Os"
_MASS = r"[89]\d|1\d\d|20\d"
_ISOTOPE = re.compile(
    rf"(?<![A-Za-z0-9])(?:({_METAL})({_MASS})|({_MASS})({_METAL}))(?:\)?D[id])?(?![A-Za-z0-9])"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def dye_of(channel: str) -> str:
    """Find the fluorochrome or the isotope in a channel's name or label.

    Parameters
    ----------
    channel
        Such as ``PE-Cy7-A`` or ``(Nd144)Di``.

    Returns
    -------
    str
        ``PE-Cy7``, ``Nd144``; empty where the name holds neither.
    """
    if isotope := _ISOTOPE.search(channel):
        metal, mass, mass_first, metal_last = isotope.groups("")
        return f"{metal or metal_last}{mass or mass_first}"
    dye = _DYE.search(channel)
    return dye.group() if dye else ""


def iso_date(text: str) -> str:
    """Write a header's date as ``2009-05-07``.

    Parameters
    ----------
    text
        ``$DATE``, such as ``07-MAY-2009``.

    Returns
    -------
    str
        The ISO date; the text itself where the date cannot be told with certainty.
    """
    parts = re.split(r"[-/. ,]+", text.strip())
    if len(parts) != 3:
        return text.strip()
    months = [part[:3].casefold() in _MONTHS and part.isalpha() for part in parts]
    if parts[0].isdecimal() and len(parts[0]) == 4:
        year, month, day = parts
    elif months[1]:
        day, month, year = parts
    elif months[0]:
        month, day, year = parts
    else:
        return text.strip()
    if month.isalpha() and month[:3].casefold() in _MONTHS:
        month = str(_MONTHS.index(month[:3].casefold()) + 1)
    if len(year) == 2 and year.isdecimal():
        year = f"20{year}" if int(year) < 70 else f"19{year}"
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except (ValueError, OverflowError):
        return text.strip()
