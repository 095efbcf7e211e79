"""Models that attacks use besides the victim: sentence encoders, masked and causal language models."""
