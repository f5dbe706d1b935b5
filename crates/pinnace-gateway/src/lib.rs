//! The edge: routes, proxying, problems

#![forbid(unsafe_code)]
