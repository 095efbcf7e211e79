"""The parts of attacks: candidates, constraints, goals, rankings, searches."""
