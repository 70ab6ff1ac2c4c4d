//! How many bytes one connection may take.

/// Most bytes and most headers of a request's head; a larger head gets 431. The URL alone may have 8 KiB.
pub const LONGEST_HEAD: usize = 16 << 10;
pub const MOST_HEADERS: usize = 64;
/// Most bytes of a streamed answer that wait for a client to read; the stream is not polled for more.
/// Answers that are whole in memory are shared and not held back. It is also how many bytes of the following
/// requests are read ahead.
pub const LONGEST_QUEUE: usize = 16 << 10;
/// Bytes that the kernel buffers for a connection, sent and received. By default it buffers up to 4 MB of an
/// answer (`tcp_wmem`): for a few thousand clients that do not read these would be gigabytes, which count
/// for this container. The kernel doubles both values for its own needs.
pub const SEND_BUFFER: usize = 16 << 10;
pub const RECEIVE_BUFFER: usize = 8 << 10;
/// Most bytes of an answer that the kernel takes beyond the client's receive window.
#[cfg(target_os = "linux")]
pub const LONGEST_UNSENT: u32 = 16 << 10;
