"""The admin: lists, the page of a job, the first page."""
