"""Programs over the same core; none has an inference path of its own."""
