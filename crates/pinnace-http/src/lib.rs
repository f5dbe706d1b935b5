//! The HTTP server and client that workers, gateway and hub share

#![forbid(unsafe_code)]
