"""The durable record of every sweep: tables, transactions, and the states read back from them."""
