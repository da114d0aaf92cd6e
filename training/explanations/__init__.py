"""What moved a score: contributions that add up to the log-odds served."""
