"""Django's backend for PostgreSQL; requests wait for its server within bounds. See portal.database.base."""
