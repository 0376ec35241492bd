"""What an adapter resembles: its update of the base model, and its wrong answers, beside those of others.

`factors` reads an adapter's update module by module, `sketches` keeps a few kB of it to search by, `updates`
compares a few adapters exactly, from their files, `mixtures` finds those that another is made of, and
`wrong_answers` counts equal mistakes beyond chance. `results` is what they say; it alone is light to import,
the others need numpy. No model library is loaded.
"""
