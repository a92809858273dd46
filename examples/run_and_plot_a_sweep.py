"""Run a small sweep, read its run table, and write its report with the scatter of MIG against TC.

Usage: python examples/run_and_plot_a_sweep.py [WORKSPACE]. It takes about half a minute. A second
call trains nothing: the workspace has the trials already.
"""

import sys

import sweeps

SPEC = {
    "name": "example",
    "data": {
        "name": "dsprites",
        "resolution": 16,
        "stride": {"scale": 2, "orientation": 8, "pos_x": 4, "pos_y": 4},
    },
    "network": {"name": "mlp", "hidden": [64], "latents": 5},
    "train": {"epochs": 3, "batch_size": 64, "learning_rate": 1e-3},
    "objectives": [{"name": "beta_tcvae", "beta": {"grid": [1, 4]}}],
    "seeds": 2,
    "evaluation": {"images": 512, "samples": 128, "final": ["mig"]},
}


def main(workspace: str = "results") -> None:
    """Run the sweep in a workspace, print its trials, and write the report."""
    result = sweeps.run(SPEC, workspace=workspace)
    print(f"ended with {result.states}, exit code {result.exit_code}")
    runs = sweeps.load_runs(workspace, "example")
    columns = ["objective", "strength", "seed", "state", "reconstruction", "reconstruction_floor"]
    print(runs[[*columns, "tc", "mig"]].to_string(index=False))
    # One page with figures and tables; figures also lie beside it as PNG and SVG.
    print("report:", sweeps.write_report(workspace, "example"))


if __name__ == "__main__":
    main(*sys.argv[1:2])
