"""What crosses between a worker and the processes that it starts: typed messages, one line of JSON each."""
