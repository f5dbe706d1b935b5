//! Descriptors, process groups, guards, shared memory
