"""An entry's result in the formats of other places that collect results."""
