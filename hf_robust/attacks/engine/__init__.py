"""The engine that runs an attack: plans, batched queries, the state of each example, the journal."""
