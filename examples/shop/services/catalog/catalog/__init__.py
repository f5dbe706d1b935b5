"""The catalogue of the shop: what is for sale, and how much of it is left."""
