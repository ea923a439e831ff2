"""Figures for papers and for the page: they take numbers and draw them."""
