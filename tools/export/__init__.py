"""The model as one file for others, checked against the one that was measured, with a card that says what it is worth."""
