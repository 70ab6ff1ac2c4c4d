//! The allocator of the native half, and its settings.
//!
//! A list of all VMs takes tens of megabytes for a few milliseconds, on any thread. The system's allocator
//! keeps the memory of such lists. With 10,000 VMs jemalloc holds a sixth less memory than mimalloc.

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc's settings, which it reads when the program starts. It has two arenas instead of four per core,
/// so that one thread can use what another freed. Free pages return to the system after 0.1 s: soon enough
/// that they do not add to the next list, late enough that the next answer can use them.
// SAFETY: the name is jemalloc's own, and it expects a pointer to a string that ends with a zero.
#[cfg(feature = "jemalloc")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static SETTINGS: &[u8; 46] = b"narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0\0";

/// Disables transparent huge pages for this process, on Linux. With pages of 2 MB the sparsely used buffers
/// of an event client take twice the memory of their content.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    // SAFETY: sets a flag of this process that the kernel reads with each page fault; no pointer is passed.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}
