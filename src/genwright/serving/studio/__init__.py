"""The studio: pages in a browser, on the models of this machine."""
