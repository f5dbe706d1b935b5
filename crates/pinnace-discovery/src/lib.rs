//! Where the instances of a service are: trait Registry and its backends

#![forbid(unsafe_code)]
