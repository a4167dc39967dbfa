"""The method: images, transformed; features, moments; scores."""
