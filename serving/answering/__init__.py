"""What is asked of the system and what it answers: recommendations, why not, a customer's overview, an RM's book."""
