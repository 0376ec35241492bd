"""Reference federated baselines: started by staff, trained by workers, shown to everybody."""
