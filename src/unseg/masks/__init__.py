"""Masks: label maps, boxes and what finds a foreground."""
