"""Files rendered for download: what was asked for, and how it is made."""
