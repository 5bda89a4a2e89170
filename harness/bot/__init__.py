"""What a bot does with somebody else's series: read it, check it in a sandbox, and answer."""
