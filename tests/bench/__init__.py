"""`make bench`: how fast the tool is, each figure beside a peer or a bound measured in the same run."""
