"""Tests of the benches' own code."""
