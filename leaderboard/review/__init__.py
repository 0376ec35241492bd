"""What reviewers judge a submission by: the queue of cases, and a case on one page."""
