"""Networks, how they learn, and how they are kept and asked; they know arrays, not slides."""
