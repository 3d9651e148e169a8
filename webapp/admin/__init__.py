"""The admin: lists, the page of a job, and the index page with statistics."""
