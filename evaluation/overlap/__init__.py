"""Which test items share an n-gram with training data, told by digests: no text leaves its owner.

`ngrams` makes the digests, `index` is those of a benchmark's items, `comparison` holds training data against
such indexes, and `report` is what is said of it. The standard library alone, as the client runs it too.
"""
