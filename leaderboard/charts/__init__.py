"""Pictures of the boards, drawn on the server: what they show is in words and a table beside each.

A module a kind of picture makes a `Figure`: title, sentence, table and an Altair specification. `drawing`
turns the specification into SVG or PNG; `catalogue` names the pictures and keeps them by what they show.
"""
