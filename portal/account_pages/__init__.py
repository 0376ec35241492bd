"""The pages of accounts, teams and tokens."""
