"""Every method and attack on tiny models of many architectures: see ``__main__``."""
