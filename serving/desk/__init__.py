"""Where what people and channels ask is answered: events laid over, decided together, put on record, then said."""
