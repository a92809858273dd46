"""Simulates whole sweeps with faults: real product code, a fake clock, one seed per run."""
