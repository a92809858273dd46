"""3D Shapes."""
