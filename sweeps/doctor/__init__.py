"""Compares ledger, MLflow and files of a workspace, explains what is wrong, and mends it."""
