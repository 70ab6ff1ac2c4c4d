//! What a guest does at a time, and what it has done until then.

use super::Guest;
use crate::{
    activity::{Activity, Span, seconds},
    clock::Millis,
};

impl Guest {
    fn activity(&self) -> Activity {
        self.activity.unwrap_or_else(|| Activity::of(self.seed))
    }

    /// What it does at `at`.
    pub(crate) fn does_at(&self, at: Millis) -> Activity {
        match &self.abnormal_activity {
            Some(abnormal) if abnormal.since <= at => abnormal.does,
            _ => self.activity(),
        }
    }

    /// What it has done on its node until `at`: before it became abnormal, and since.
    pub(crate) fn spans(&self, at: Millis) -> [Span; 2] {
        let from = self.on_node_since();
        let change =
            self.abnormal_activity.as_ref().map_or(at, |abnormal| abnormal.since).clamp(from, at.max(from));
        let span = |from: Millis, to: Millis, does| Span { seconds: seconds(from, to), does };
        let later = self.abnormal_activity.as_ref().map_or_else(|| self.activity(), |abnormal| abnormal.does);
        [span(from, change, self.activity()), span(change, at, later)]
    }

    /// The same, as this drive has seen it.
    pub(crate) fn drive_spans(&self, drive: &str, at: Millis) -> [Span; 2] {
        let mut spans = self.spans(at);
        if self
            .abnormal_activity
            .as_ref()
            .and_then(|abnormal| abnormal.drive.as_deref())
            .is_some_and(|other| other != drive)
        {
            spans[1].does = self.activity();
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::AbnormalActivity;

    #[test]
    fn spans_are_the_time_on_the_node_split_where_abnormal_activity_begins() {
        let (calm, busy) =
            (Activity { reads: 1, ..Activity::default() }, Activity { reads: 9, ..Activity::default() });
        let abnormal = AbnormalActivity { since: 60_000, does: busy, drive: Some("data".into()) };
        let mut guest =
            Guest::new("a", "b").does(calm).running_on("n", 10_000).with_abnormal_activity(abnormal);
        let spans = |guest: &Guest, at| guest.spans(at).map(|span| (span.seconds, span.does.reads));
        assert_eq!(spans(&guest, 5_000), [(0.0, 1), (0.0, 9)]);
        assert_eq!(spans(&guest, 30_000), [(20.0, 1), (0.0, 9)]);
        assert_eq!(spans(&guest, 90_000), [(50.0, 1), (30.0, 9)]);
        assert_eq!(guest.drive_spans("root", 90_000).map(|span| span.does.reads), [1, 1]);
        assert_eq!(guest.drive_spans("data", 90_000).map(|span| span.does.reads), [1, 9]);
        assert_eq!((guest.does_at(59_999).reads, guest.does_at(60_000).reads), (1, 9));
        guest.moved = Some(80_000);
        assert_eq!(spans(&guest, 90_000), [(0.0, 1), (10.0, 9)]);
        guest.abnormal_activity = None;
        assert_eq!(spans(&guest, 90_000), [(10.0, 1), (0.0, 1)]);
    }
}
