"""Files of other programs that become sets."""
