"""Studies: many baseline runs by one plan, what they will take, their table, and what is exported of them."""
