"""The ledger of a target: finished work, its settings, and the lock on it."""
