"""How deep nets are trained: each training phase is a pure function from parameters to parameters."""
