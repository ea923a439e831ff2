"""Running the project's notebooks."""

from pathlib import Path

import nbformat
from nbmake.nb_run import NotebookRun

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def run_notebook(path, results, monkeypatch):
    """Run a notebook in a kernel of its own, on these results; return what it showed.

    Returns the number of pictures, and all its text.
    """
    monkeypatch.setenv("BIOCROSS_RESULTS", str(results))
    done = NotebookRun(path, default_timeout=120, kernel="python3").execute()
    assert done.error is None, f"{path.name}: {done.error.summary}\n{done.error.trace}"
    outputs = [output for cell in done.nb.cells for output in cell.get("outputs", [])]
    errors = [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert not errors, f"{path.name} warns: {errors}"
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    texts = [output.get("text", output.get("data", {}).get("text/plain", "")) for output in outputs]
    return pictures, "\n".join(texts)


def execute_cells(path, results, monkeypatch):
    """Run the code of a notebook in this process, which is quick; return what it printed."""
    monkeypatch.setenv("BIOCROSS_RESULTS", str(results))
    said = []
    names = {"display": said.append, "print": lambda *words: said.append(" ".join(map(str, words)))}
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{path.name}, cell {number}", "exec"), names)
    return "\n".join(str(words) for words in said)
