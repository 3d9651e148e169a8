"""User accounts: quotas, API tokens, guests and retention."""
