"""Files rendered for download: their specification, and the renderer."""
