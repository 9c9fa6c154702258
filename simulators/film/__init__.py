"""The simulated Si-Ge film, recorded maps, and the beamline that measures them."""
