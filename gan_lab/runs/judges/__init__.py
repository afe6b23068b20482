"""In whose features samples are judged: each file is a judge, and its function `extractor` makes it for some data."""
