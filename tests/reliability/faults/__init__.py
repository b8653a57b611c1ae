"""Faults that are injected into whole runs, each in a process of its own."""
