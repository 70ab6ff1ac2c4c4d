//! RBD images as the ceph-mgr dashboard lists them: 6 kB of JSON each, most of it configuration.

use crate::{
    guest::State,
    hardware::{Backend, POOL},
    objects::{join, put},
    rng,
    world::SimulatedCluster,
};

/// An RBD image as the dashboard knows it. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RbdImage {
    pub name: String,
    pub size: u64,
    /// Bytes used, including snapshots, before replication; `None` without fast-diff.
    pub used: Option<u64>,
    /// Mirrored by snapshots.
    pub mirrored: bool,
}

impl SimulatedCluster {
    /// Returns every image, sorted by name.
    pub fn images(&self) -> Vec<RbdImage> {
        let (now, mut images) = (self.clock.now(), Vec::new());
        for guest in self.guests().iter().filter(|guest| guest.state != State::Pending) {
            for disk in &guest.disks {
                if disk.backend.is_rbd() {
                    let counted =
                        !matches!(disk.backend, Backend::Rbd { fast_diff: false } | Backend::MirroredRbd);
                    images.push(RbdImage {
                        name: guest.image_name(disk),
                        size: disk.bytes(),
                        used: counted.then(|| disk.allocated(now)),
                        mirrored: disk.backend == Backend::MirroredRbd,
                    });
                }
            }
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        images
    }
}

/// Options that the dashboard lists for every image, whether they are set or not.
const OPTIONS: [&str; 62] = [
    "rbd_atime_update_interval",
    "rbd_balance_parent_reads",
    "rbd_balance_snap_reads",
    "rbd_blacklist_expire_seconds",
    "rbd_blacklist_on_break_lock",
    "rbd_cache",
    "rbd_cache_block_writes_upfront",
    "rbd_cache_max_dirty",
    "rbd_cache_max_dirty_age",
    "rbd_cache_max_dirty_object",
    "rbd_cache_policy",
    "rbd_cache_size",
    "rbd_cache_target_dirty",
    "rbd_cache_writethrough_until_flush",
    "rbd_clone_copy_on_read",
    "rbd_concurrent_management_ops",
    "rbd_default_clone_format",
    "rbd_disable_zero_copy_writes",
    "rbd_discard_granularity_bytes",
    "rbd_enable_alloc_hint",
    "rbd_io_scheduler",
    "rbd_io_scheduler_simple_max_delay",
    "rbd_journal_commit_age",
    "rbd_journal_max_concurrent_object_sets",
    "rbd_journal_max_payload_bytes",
    "rbd_journal_object_flush_age",
    "rbd_journal_object_flush_bytes",
    "rbd_journal_object_flush_interval",
    "rbd_journal_object_max_in_flight_appends",
    "rbd_journal_object_writethrough_until_flush",
    "rbd_journal_order",
    "rbd_journal_pool",
    "rbd_journal_splay_width",
    "rbd_localize_parent_reads",
    "rbd_localize_snap_reads",
    "rbd_mirroring_delete_delay",
    "rbd_mirroring_max_mirroring_snapshots",
    "rbd_mirroring_replay_delay",
    "rbd_mirroring_resync_after_disconnect",
    "rbd_move_parent_to_trash_on_remove",
    "rbd_move_to_trash_on_remove",
    "rbd_move_to_trash_on_remove_expire_seconds",
    "rbd_mtime_update_interval",
    "rbd_non_blocking_aio",
    "rbd_parent_cache_enabled",
    "rbd_persistent_cache_mode",
    "rbd_persistent_cache_path",
    "rbd_persistent_cache_size",
    "rbd_plugins",
    "rbd_qos_bps_burst",
    "rbd_qos_bps_limit",
    "rbd_qos_iops_burst",
    "rbd_qos_iops_limit",
    "rbd_qos_read_bps_limit",
    "rbd_qos_read_iops_limit",
    "rbd_qos_schedule_tick_min",
    "rbd_qos_write_bps_limit",
    "rbd_qos_write_iops_limit",
    "rbd_readahead_disable_after_bytes",
    "rbd_readahead_max_bytes",
    "rbd_skip_partial_discard",
    "rbd_sparse_read_threshold_bytes",
];

/// Writes the image as the dashboard's JSON.
pub fn write(out: &mut String, image: &RbdImage) {
    let RbdImage { name, size, used, mirrored } = image;
    let usage = used.map_or("null".to_owned(), |used| used.to_string());
    let id = rng::uid(0, &["rbd", name]).replace('-', "");
    let mode = if *mirrored { "snapshot" } else { "unknown" };
    let (features, names) = match used {
        _ if *mirrored => (61, r#"["exclusive-lock","fast-diff","layering","object-map"]"#),
        Some(_) => (61, r#"["deep-flatten","exclusive-lock","fast-diff","layering","object-map"]"#),
        None => (1, r#"["layering"]"#),
    };
    put!(
        out,
        r#"{{"name":"{name}","id":"{}","unique_id":"{POOL}/{}","pool_name":"{POOL}","namespace":null,"size":{size},"obj_size":4194304,"num_objs":{},"order":22,"block_name_prefix":"rbd_data.{}","image_format":2,"features":{features},"features_name":{names},"data_pool":null,"stripe_count":1,"stripe_unit":4194304,"parent":null,"timestamp":"2026-01-12T08:30:00Z","mirror_mode":"{mode}","metadata":{{}},"snapshots":[],"total_disk_usage":{usage},"disk_usage":{usage},"configuration":["#,
        &id[..12],
        &id[..12],
        size.div_ceil(4 << 20),
        &id[..12],
    );
    join(out, OPTIONS, |out, option| {
        put!(out, r#"{{"name":"{option}","value":"{}","source":0}}"#, rng::hash(0, &[option]) % 8192);
    });
    out.push_str("]}");
}
