"""What a policy would do to everybody: simulation, differences between policies, costs of levers, fairness."""
