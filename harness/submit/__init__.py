"""From the commits of build/tree to mails that a maintainer's bot has nothing to say about."""
