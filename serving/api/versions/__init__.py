"""What serves: model, states, policy."""
