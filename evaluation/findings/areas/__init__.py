"""The finding codes, one module an area of the checks; `evaluation.findings.catalogue` joins them."""
