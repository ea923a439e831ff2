"""The results of a run, for people who explore them in Jupyter."""

from biocross.results.population import Population
from biocross.results.study import Results

__all__ = ["Population", "Results"]
