"""From words and YAML to objects: composed, checked, explained and built."""
