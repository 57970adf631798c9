"""Where files lie: folders of this machine, addresses elsewhere, and shards."""
