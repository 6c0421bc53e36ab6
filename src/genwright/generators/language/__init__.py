"""Language models: local ones, remote endpoints, recorded draws, and the one decoding engine."""
