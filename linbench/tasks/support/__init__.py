"""What tasks share: what is called, whether it is right, and what a visit will take."""
