"""Figure 2: whether a similarity follows the mean activation: its numbers, its picture, its page."""
