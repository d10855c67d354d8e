"""The load: the mix of requests, or a reader's own requests, and the processes that send them."""
