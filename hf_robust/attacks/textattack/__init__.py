"""TextAttack as an alternative engine with the same records."""
