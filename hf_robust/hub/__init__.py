"""The published model card: results, limits, loading instructions and citations."""
