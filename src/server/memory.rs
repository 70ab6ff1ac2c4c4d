//! How the native half takes memory and gives it back.
//!
//! A list of every VM comes and goes within milliseconds and is tens of megabytes, on whatever thread asked for it. The
//! system's allocator keeps what such lists leave behind; of 10,000 VMs jemalloc holds a sixth less than mimalloc does.

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc when the program starts. Two arenas, not four a core: what one thread frees another can use. What is
/// free goes back within 0.1 s: it does not stand beside the next list, and what an answer needs is there for the next.
// SAFETY: the name is jemalloc's own, and it expects a pointer to a string that ends with a zero.
#[cfg(feature = "jemalloc")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static SETTINGS: &[u8; 46] = b"narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0\0";

/// In pages of 2 MB the buffers of a client who follows events, which are hardly used, take twice what is in them.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    // SAFETY: sets a flag of this process that the kernel reads with each page fault; no pointer is passed.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}
