"""What attacks are made of: candidates, constraints, goals, rankings, searches."""
