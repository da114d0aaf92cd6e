"""The jobs, a file each: every one reads the workspace, keeps its record in MLflow and returns what it did."""
