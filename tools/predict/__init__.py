"""What the trained model says of a person's own pictures."""
