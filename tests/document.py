"""The documents that measurements write their tables into."""

from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT, BENCHMARKS = DOCS / "validation.md", DOCS / "benchmarks.md"


def document_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (header, *rows)]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def write_between(marks: tuple[str, str], tables: str, document: Path = DOCUMENT) -> None:
    """Replace what stands between two marks of the document."""
    text = document.read_text(encoding="utf-8")
    start, end = text.index(marks[0]) + len(marks[0]), text.index(marks[1])
    document.write_text(f"{text[:start]}\n{tables}\n{text[end:]}", encoding="utf-8")
