"""What is measured on the test split. The stage `evaluate`."""
