"""FCS files with known truth, as a cytometer writes them."""
