"""Files, processes, progress, provenance: what any program needs; nothing of networks is known here."""
