"""`Scores`: tables and a manifest, saved, loaded and compared."""
