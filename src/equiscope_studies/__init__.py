"""The paper's figures, made again with what every user has."""
