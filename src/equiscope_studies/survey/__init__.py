"""Figures 4 and 7: several networks, which of them are equivariant, and whether accuracy goes with it."""
