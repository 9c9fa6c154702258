"""Simulated specimens, and the electron microscope and FIB-SEM that image them."""
