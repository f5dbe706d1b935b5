"""The shop window: the pages that a shopper sees."""
