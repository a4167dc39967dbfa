"""`Scores` as one HTML page that stands alone."""
