"""Pure HTTP values that both halves need: field syntax, dates, structured fields."""
