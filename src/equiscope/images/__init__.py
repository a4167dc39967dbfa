"""Images: from folders, data sets, photographs or whatever the caller has, as batches."""
