"""Single-cell RNA: from libraries of counts to counted, annotated populations."""
