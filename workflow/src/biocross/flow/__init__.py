"""Flow cytometry: from FCS files to counted populations."""
