//! The simulated cluster asked over its socket.
