"""What a classifier looks at, and how it represents a text and its perturbed forms."""
