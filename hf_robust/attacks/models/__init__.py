"""Models that attacks ask beside their victim: sentence encoders, masked and causal language models."""
