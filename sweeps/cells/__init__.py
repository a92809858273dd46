"""From a spec to cells: parameters without the seed, their names, timelines, notes and size."""
