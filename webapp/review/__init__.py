"""What reviewers and administrators decide about jobs."""
