"""Other people's networks: which there are, which layers they have, and what their features are."""
