"""The metrics: one file per metric, each with functions from `Inputs` to `Score`."""
