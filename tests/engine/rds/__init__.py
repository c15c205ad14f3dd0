"""Backups of SQL tables, against real servers."""
