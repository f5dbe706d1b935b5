"""The orders of the shop: who bought what, at which price, and whether the stock is held for it."""
