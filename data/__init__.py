"""From cases to patches and from patches back to masks: the rooms in the order in which pixels pass through them."""
