"""XML of unknown origin: entities, by which a short file becomes a huge one, are refused."""

from typing import IO
from xml.parsers import expat

_BLOCK = 65536


class _Prolog(Exception):
    """Ends the reading at the first element, before which all declarations stand."""


def declares_entities(stream: IO[bytes]) -> bool:
    """Tell whether a document declares entities, which neither gates nor sheets ever need.

    Parameters
    ----------
    stream
        The document; only its beginning, up to the first element, is read.

    Returns
    -------
    bool
        False also for what is no XML, which its own reader refuses.
    """
    found: list[str] = []

    def declared(name: str, *_: object) -> None:
        found.append(name)
        raise _Prolog

    def element(*_: object) -> None:
        raise _Prolog

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = declared
    parser.StartElementHandler = element
    try:
        while block := stream.read(_BLOCK):
            parser.Parse(block, False)
    except (_Prolog, expat.ExpatError, LookupError, ValueError):
        pass
    return bool(found)
