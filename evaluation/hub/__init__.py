"""The one way to the model hub: models, data files and adapters, fetched by name and commit."""
