"""What an adapter gives away of its training rows: tests of membership, and inserted canaries. Pure.

`signals` are what is computed of a row, `report` the tests by group of rows, `canaries` texts that clients
train on to see whether they come out again. Rows are chosen, and their probabilities made, elsewhere.
"""
