"""What operators told workers and queues, and which state of the code the database is made for: asked before
any work begins.
"""
