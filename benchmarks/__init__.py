"""What the pipeline costs: each module is a command that prints its figures."""
