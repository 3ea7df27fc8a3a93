"""Tests, by the folder whose code they are about."""
