"""Accounts: quotas, tokens, guests, and how long things are kept."""
