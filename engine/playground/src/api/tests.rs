//! What the API promises, spoken to as a client would.
