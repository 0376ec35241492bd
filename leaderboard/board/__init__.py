"""A board as it is shown: columns, filters, facets, tables, exports, and comparisons of its rows."""
