"""The training studies: networks that differ in one thing, trained, measured, and held against the claims."""
