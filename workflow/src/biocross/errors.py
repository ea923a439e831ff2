"""Errors whose text is a sentence for the user: what is wrong, where, and what to do."""


class BiocrossError(Exception):
    """Base of every error that a user can mend; printed without a traceback."""


class ConfigError(BiocrossError):
    """The configuration or one of its sheets is wrong."""


class DesignError(BiocrossError):
    """The study's design cannot answer the question asked."""


class FcsError(BiocrossError):
    """An FCS file cannot be read, or lacks what the panel needs."""


class GatingError(BiocrossError):
    """The gating strategy is wrong or cannot be applied."""


class LibraryError(BiocrossError):
    """A library of single-cell counts cannot be read, or holds no counts of genes."""


class DamagedError(BiocrossError):
    """A file that a step has made is not what was written; it must be made anew."""


class StorageError(BiocrossError):
    """The results cannot be written: the disk is full, or the folder is protected."""


class TableError(BiocrossError):
    """A table of frequencies or values is broken."""
