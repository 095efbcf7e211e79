"""How an attack runs: plans, queries in batches, the state of each example, the journal."""
