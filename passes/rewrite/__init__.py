"""What is put into a model, and taken out again."""
