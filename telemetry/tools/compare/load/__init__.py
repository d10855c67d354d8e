"""What is sent: the mix of requests, or a reader's own, and the processes that send it."""
