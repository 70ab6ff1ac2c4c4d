//! Keeps what all guests report, within one bound of bytes. Each answer is bounded by itself, but thousands of
//! guests that lie would fill the memory together.

use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};

use super::{
    guest_disks::GuestDisks,
    observation::{Filesystem, InstanceDisk, Key, SourceError},
};
use i18n::msg;
use model::{Millis, reason::Reason};

/// The most bytes that the file systems of all guests take. With 10,000 guests that is 3.3 kB each, or 12 file
/// systems; a guest usually has two to five. A node of Kubernetes with 60 volumes takes 12 kB.
const MOST_BYTES: usize = 32 << 20;

/// What the agent of each guest reports.
#[derive(Debug)]
pub(super) struct Guests {
    known: HashMap<Key, GuestDisks>,
    bytes: usize,
    pub most_bytes: usize,
}

impl Default for Guests {
    fn default() -> Self {
        Self { known: HashMap::new(), bytes: 0, most_bytes: MOST_BYTES }
    }
}

impl Guests {
    pub fn get(&self, instance: &(impl std::hash::Hash + Equivalent<Key>)) -> Option<&GuestDisks> {
        self.known.get(instance)
    }

    /// Records an answer. While all guests together exceed the limit, the guest with the largest answer is
    /// dropped first, so that a small report never gives way to a large one. Returns the guests that were dropped.
    pub fn answered(
        &mut self,
        instance: Key,
        filesystems: Vec<Filesystem>,
        disks: &Arc<[InstanceDisk]>,
        at: Millis,
    ) -> Vec<Key> {
        let guest = GuestDisks::answered(filesystems, disks, at);
        self.bytes += guest.bytes();
        if self.bytes > self.most_bytes && self.known.get(&instance).is_none_or(|before| before.bytes() == 0)
        {
            // Of two equally large guests, the known one stays.
            let heaviest = self.known.values().map(GuestDisks::bytes).max().unwrap_or_default();
            if guest.bytes() >= heaviest {
                self.bytes -= guest.bytes();
                self.leave_out(instance.clone());
                return vec![instance];
            }
        }
        self.bytes -= self.known.insert(instance, guest).map_or(0, |before| before.bytes());
        let mut left_out = Vec::new();
        while self.bytes > self.most_bytes {
            let by_bytes = self.known.iter().map(|(instance, guest)| (guest.bytes(), instance));
            let Some(heaviest) = by_bytes.max().map(|(_, instance)| instance.clone()) else { break };
            left_out.push(heaviest.clone());
            self.leave_out(heaviest);
        }
        left_out
    }

    /// Replaces what the guest reported by the reason why it is not kept.
    fn leave_out(&mut self, instance: Key) {
        let detail = msg!(error.guests_together, bytes = self.most_bytes.to_string());
        let left_out = GuestDisks::failed(SourceError { reason: Reason::TooLarge, detail });
        self.bytes -= self.known.insert(instance, left_out).map_or(0, |before| before.bytes());
    }

    /// Records a failure. What the guest last reported stays.
    pub fn failed(&mut self, instance: Key, error: SourceError) {
        self.known.entry(instance).or_default().error = Some(error);
    }

    /// Keeps only these guests.
    pub fn retain(&mut self, is_kept: impl Fn(&Key) -> bool) {
        let bytes = &mut self.bytes;
        self.known.retain(|instance, guest| {
            let is_kept = is_kept(instance);
            *bytes -= if is_kept { 0 } else { guest.bytes() };
            is_kept
        });
    }

    /// Assigns the file systems of a guest, or of all, to the disks that the instances have now.
    pub fn assign<'a>(
        &mut self,
        changed: Option<&Key>,
        disks: impl Fn(&Key) -> Option<&'a Arc<[InstanceDisk]>>,
    ) {
        let assign = |(key, guest): (&Key, &mut GuestDisks)| {
            if let Some(disks) = disks(key) {
                guest.assign(disks);
            }
        };
        match changed {
            None => self.known.iter_mut().for_each(assign),
            Some(key) => self.known.get_mut(key).map(|guest| (key, guest)).into_iter().for_each(assign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(guests: &mut Guests, name: &str, filesystems: usize) {
        let filesystem = |n: usize| Filesystem {
            disk_name: format!("vd{n:04}"),
            mount_point: format!("/m/{n:04}"),
            kind: "ext4".into(),
            serials: vec![format!("serial-{n:04}")],
            used: Some(1),
            total: Some(2),
            hidden: false,
        };
        let filesystems = (0..filesystems).map(filesystem).collect();
        guests.answered(Key::new("a", name), filesystems, &Arc::default(), 1);
    }

    fn left_out(guests: &Guests) -> Vec<&str> {
        let mut names: Vec<_> = guests.known.iter().filter(|(_, guest)| guest.error.is_some()).collect();
        names.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        for (_, guest) in &names {
            assert_eq!(guest.error.as_ref().map(|error| error.reason), Some(Reason::TooLarge));
            assert_eq!((guest.answered, guest.shown().len(), guest.bytes()), (None, 0, 0));
        }
        names.into_iter().map(|(key, _)| &*key.name).collect()
    }

    #[test]
    fn the_guest_that_takes_most_is_left_out_first_and_no_other() {
        let mut guests = Guests::default();
        (0..10).for_each(|n| report(&mut guests, &format!("honest-{n}"), 3));
        report(&mut guests, "lies", 128);
        let all = guests.bytes;
        guests.most_bytes = all;
        report(&mut guests, "lies-less", 100);
        assert_eq!(left_out(&guests), ["lies"]);
        report(&mut guests, "lies", 128);
        assert_eq!(left_out(&guests), ["lies"], "it takes the most again");
        report(&mut guests, "honest-0", 10);
        assert_eq!(left_out(&guests), ["lies"], "there is room for more");
        report(&mut guests, "lies-as-much", 100);
        assert_eq!(left_out(&guests), ["lies", "lies-as-much"], "one that is known stays");
        report(&mut guests, "lies-less", 1);
        report(&mut guests, "lies", 100);
        assert_eq!(left_out(&guests), ["lies-as-much"], "there is room again");
        guests.retain(|instance| !instance.name.starts_with("lies"));
        let taken = guests.bytes;
        assert_eq!(taken, guests.known.values().map(GuestDisks::bytes).sum::<usize>());
        guests.failed(
            Key::new("a", "honest-1"),
            SourceError { reason: Reason::AgentOff, detail: "off".into() },
        );
        assert_eq!((guests.bytes, guests.known.len()), (taken, 10), "a failure keeps the last answer");
        guests.retain(|_| false);
        assert_eq!(guests.bytes, 0);
    }

    /// What is counted is what the allocator gives: strings take at least 16 bytes each.
    #[test]
    fn ten_thousand_guests_with_usual_file_systems_fit_many_times() {
        let mut guests = Guests::default();
        report(&mut guests, "usual", 5);
        let usual = guests.bytes;
        assert!((1000..MOST_BYTES / 10_000 / 2).contains(&usual), "{usual}");
        report(&mut guests, "large", 128);
        assert!((8 << 10..24 << 10).contains(&(guests.bytes - usual)), "{}", guests.bytes - usual);
    }
}
