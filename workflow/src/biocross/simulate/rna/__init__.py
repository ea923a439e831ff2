"""Single-cell libraries with known truth, as Cell Ranger writes them."""
