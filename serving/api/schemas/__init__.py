"""What the service is asked and answers, as OpenAPI describes it."""
