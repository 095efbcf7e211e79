"""What is published with a model: its card, with the papers to cite."""
