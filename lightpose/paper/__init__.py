"""The paper's tables and its Figure 4, beside what is counted and measured here."""
