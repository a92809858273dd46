"""The finished runs as tables: run table, series, means, Pareto fronts."""
