//! The simulated cluster: it speaks the Kubernetes HTTP API over a loopback socket, and knows nothing of `server`.
