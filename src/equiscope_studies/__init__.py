"""The paper's figures and training studies, made with what every user of equiscope has: its public names only."""
