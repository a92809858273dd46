"""The finished runs as tables: run table, series, means over seeds, Pareto fronts."""
