"""Leaves: arrays, numbers, files and pictures; they know neither slides nor models."""
