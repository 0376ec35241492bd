"""Services and processes of one machine: embedded PostgreSQL and Valkey, daemons, workers."""
