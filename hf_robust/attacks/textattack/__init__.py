"""TextAttack as the other engine, behind the same records."""
