"""Programs of several language-model calls with a plan."""
