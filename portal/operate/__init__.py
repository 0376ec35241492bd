"""What operators see of workers, queues, storage and outages, and do with them: one layer under page, API and
manage.py.
"""
