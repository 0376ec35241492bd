"""The one part that touches database and cache: entries read, snapshots kept, items, changes."""
