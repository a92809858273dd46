"""Cars3D."""
