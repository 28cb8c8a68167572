"""The program measured, and what follows from the measures."""
