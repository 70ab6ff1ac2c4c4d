//! Maps each object of a guest to the template that writes it.

use super::{
    Part, claim, event, instance, launcher, longhorn, machine, migration, persistent_volume, wukong,
};
use crate::guest::Guest;

pub fn render(out: &mut String, part: Part, guest: &Guest, revision: u64) {
    match part {
        Part::Wukong => wukong::render(out, guest, revision),
        Part::Machine => machine::render(out, guest, revision),
        Part::Instance => instance::render(out, guest, revision),
        Part::Launcher(serial) => {
            if let Some(pod) = guest.launcher(serial) {
                launcher::render(out, guest, pod, revision);
            }
        }
        // Stored as a plain pod.
        Part::Attachment => {}
        Part::Claim(index) => {
            if let Some(disk) = guest.disks.get(index) {
                claim::render(out, guest, disk, revision);
            }
        }
        Part::PersistentVolume(index) => {
            if let Some(disk) = guest.disks.get(index) {
                persistent_volume::render(out, guest, disk, revision);
            }
        }
        Part::LonghornVolume(index) => {
            if let Some(disk) = guest.disks.get(index) {
                longhorn::render(out, guest, disk, revision);
            }
        }
        Part::Migration(target) => {
            if let Some(found) = guest.migrations().find(|migration| migration.target == target) {
                migration::render(out, guest, found, revision);
            }
        }
        Part::Event(index) => {
            if let Some(occurrence) = guest.occurrences.get(index) {
                event::render(out, guest, occurrence, revision);
            }
        }
    }
}
