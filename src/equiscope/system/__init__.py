"""Files, processes, progress, errors, options: what any program needs; nothing of networks is known here."""
