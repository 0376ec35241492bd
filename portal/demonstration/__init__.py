"""What `manage.py demo` shows: its parts, and how far they are, for its terminal and the home page alike."""
