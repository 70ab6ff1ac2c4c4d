//! [`AccessBook`]: all viewers, what is known about their rights, and which reviews are asked next.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use model::{Millis, source::ReviewCounts};

use super::{
    CALM_AFTER, Decision, FORGET_AFTER, MOST_VIEWERS, Question, RETRY_AFTER, REVIEWS_A_SECOND,
    REVIEWS_AT_ONCE, Review, ReviewedResource, SWEEP_A_SECOND, UserInfo, WANTED_A_SECOND,
    budget::Budget,
    hints::BindingHints,
    places::{Place, Places},
    viewer::{Urgency, ViewerReviews},
};
use crate::{Snapshot, scope::Scope};

/// What a user may see now, and how much of it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessStatus {
    pub scope: Scope,
    /// The first moment at which the scope can be smaller without another answer.
    pub until: Option<Millis>,
    /// Whether something is allowed only because its renewal is delayed, by the budget or by the API server.
    pub is_late: bool,
    /// How many of the `places` (namespaces and kinds with rows) have an answer that counts: a denial, or an
    /// allow that has not ended. Equal to `places` once every first question is answered.
    pub checked: usize,
    pub places: usize,
}

impl AccessStatus {
    pub fn is_complete(&self) -> bool {
        self.checked >= self.places
    }
}

/// What is known about everybody's rights, and what is to be asked next.
#[derive(Clone, Debug)]
pub struct AccessBook {
    viewers: HashMap<Arc<UserInfo>, ViewerReviews>,
    /// The users who were forgotten since the last call of [`AccessBook::users_to_refresh`].
    forgotten: HashSet<Arc<UserInfo>>,
    /// The users in the order in which they take turns.
    turns: Vec<Arc<UserInfo>>,
    places: Places,
    hints: Option<BindingHints>,
    /// When the bindings of a namespace have last changed, for as long as that counts.
    changed: HashMap<Arc<str>, Millis>,
    budget: Budget,
    sweep: Budget,
    wanted: Budget,
    under_way: usize,
    /// Whether renewals came first the last time.
    renews_first: bool,
    /// When the next review may be sent while the API server does not answer: then there is one at a time.
    probe_at: Option<Millis>,
}

impl Default for AccessBook {
    fn default() -> Self {
        Self {
            viewers: HashMap::new(),
            forgotten: HashSet::new(),
            turns: Vec::new(),
            places: Places::default(),
            hints: None,
            changed: HashMap::new(),
            budget: Budget::new(REVIEWS_A_SECOND),
            sweep: Budget::new(SWEEP_A_SECOND),
            wanted: Budget::new(WANTED_A_SECOND),
            under_way: 0,
            renews_first: false,
            probe_at: None,
        }
    }
}

impl AccessBook {
    /// Notes that the user looks. Cheap: what they may see is [`Self::access_status`].
    pub fn see(&mut self, user: &Arc<UserInfo>, now: Millis) {
        if let Some(viewer) = self.viewers.get_mut(user) {
            viewer.seen = now;
        } else {
            self.admit(user.clone(), now);
        }
    }

    /// Computes what the user may see. `None` if they are not in the book. It takes time for each namespace,
    /// so it is kept until [`Self::users_to_refresh`] names the user again.
    pub fn access_status(&mut self, user: &UserInfo, now: Millis) -> Option<AccessStatus> {
        let viewer = self.viewers.get_mut(user)?;
        viewer.refresh_at = viewer.changes_at(now);
        let (scope, until, is_late) = viewer.scope(now);
        let places = self.places.live.len();
        let checked = viewer.checked(&self.places, self.hints.is_some(), now);
        let places = if viewer.knows_everywhere(now) { places } else { places.max(checked + 1) };
        Some(AccessStatus { scope, until, is_late, checked, places })
    }

    /// Returns whether every first question about the user is answered, as [`AccessStatus::is_complete`] does. It is
    /// looked at closely only when no question is under way.
    pub fn is_complete(&self, user: &UserInfo, now: Millis) -> bool {
        self.viewers.get(user).is_some_and(|viewer| {
            let checked = || viewer.checked(&self.places, self.hints.is_some(), now);
            viewer.is_idle() && viewer.knows_everywhere(now) && checked() >= self.places.live.len()
        })
    }

    /// Returns whether the user may list the Events of a namespace. `None` if that is not known: it is asked next. An answer
    /// is valid for [`ALLOW_ENDS`](super::ALLOW_ENDS), and is not renewed.
    pub fn may_list_events(&mut self, user: &UserInfo, namespace: &str, now: Millis) -> Option<bool> {
        self.viewers.get_mut(user)?.wanted.want(namespace, now)
    }

    /// Returns the users whose access status may differ from when it was last computed: they are new, a review was
    /// answered, a binding changed, an allow ended or is late. A user who was forgotten is returned once, and
    /// has no access status any more.
    pub fn users_to_refresh(&mut self, now: Millis) -> Vec<Arc<UserInfo>> {
        let mut users: Vec<_> = std::mem::take(&mut self.forgotten).into_iter().collect();
        let changed = self.viewers.iter().filter(|(_, viewer)| viewer.refresh_at.is_some_and(|at| at <= now));
        users.extend(changed.map(|(user, _)| user.clone()));
        users
    }

    fn forget(&mut self, user: &Arc<UserInfo>) {
        self.viewers.remove(user);
        self.forgotten.insert(user.clone());
    }

    /// Returns the user who did not look for the longest time. If more than half of all users are service accounts
    /// of one namespace, it is one of these: their tenant could make any number of them.
    fn least_recent(&self) -> Option<Arc<UserInfo>> {
        let mut accounts: HashMap<&str, usize> = HashMap::new();
        for namespace in self.viewers.keys().filter_map(|user| user.account_namespace()) {
            *accounts.entry(namespace).or_default() += 1;
        }
        let crowd = accounts.into_iter().find(|(_, count)| *count > self.viewers.len() / 2);
        let crowd = crowd.map(|(namespace, _)| namespace);
        let candidates = self.viewers.iter();
        let candidates = candidates.filter(|(user, _)| crowd.is_none() || user.account_namespace() == crowd);
        candidates.min_by_key(|(_, viewer)| viewer.seen).map(|(user, _)| user.clone())
    }

    fn admit(&mut self, user: Arc<UserInfo>, now: Millis) {
        while self.viewers.len() >= MOST_VIEWERS {
            let Some(oldest) = self.least_recent() else { break };
            self.forget(&oldest);
        }
        self.forgotten.remove(&user);
        let mut viewer = ViewerReviews::new(now);
        if let Some(hints) = &self.hints {
            viewer.bindings = hints.places_of(&user);
            urge_bindings(&mut viewer, &self.places);
        }
        self.turns.push(user.clone());
        self.viewers.insert(user, viewer);
    }

    /// Takes over which namespaces hold rows of which kinds.
    pub fn observe(&mut self, snapshot: &Snapshot) {
        let mut places = Places::default();
        let mut added = Vec::new();
        for vm in &snapshot.vms {
            let place: Place = (Arc::from(vm.summary.namespace.as_str()), vm.summary.kind);
            if places.live.contains_key(&place) {
                continue;
            }
            // A namespace that comes back is added again at the end, and asked about again.
            let at = self.places.index_of(&place).unwrap_or_else(|| {
                added.push(place.clone());
                self.places.all.len() + added.len() - 1
            });
            places.live.insert(place, at);
        }
        if places.live != self.places.live {
            self.viewers.values_mut().for_each(ViewerReviews::mark_changed);
        }
        let is_sparse = self.places.all.len() + added.len() > 2 * places.live.len() + 64;
        if is_sparse {
            places.live.iter_mut().zip(0..).for_each(|((place, at), next)| {
                places.all.push(place.clone());
                *at = next;
            });
            self.viewers.values_mut().for_each(|viewer| viewer.reorder(&self.places, &places));
        } else {
            places.all = std::mem::take(&mut self.places.all);
            places.all.extend(added.iter().cloned());
        }
        self.places = places;
        // What is new in a namespace that somebody has a binding in is asked first.
        for (namespace, kind) in added {
            let place = Some(namespace);
            for viewer in self.viewers.values_mut().filter(|viewer| viewer.bindings.contains_key(&place)) {
                let question = Question { namespace: place.clone(), resource: ReviewedResource::Rows(kind) };
                viewer.urge(question, false, &self.places);
            }
        }
    }

    /// Takes over the bindings. `None` if they cannot be read.
    pub fn hint(&mut self, hints: Option<BindingHints>, now: Millis) {
        self.changed.retain(|_, at| now - *at < CALM_AFTER);
        let mut all_changed: HashSet<Arc<str>> = HashSet::new();
        for (user, viewer) in &mut self.viewers {
            let bindings = hints.as_ref().map(|hints| hints.places_of(user)).unwrap_or_default();
            if hints.is_some() {
                let before = &viewer.bindings;
                let changed = bindings.iter().filter(|(place, number)| before.get(*place) != Some(*number));
                let gone = before.keys().filter(|place| !bindings.contains_key(*place));
                let places: Vec<_> = changed.map(|(place, _)| place).chain(gone).cloned().collect();
                for place in &places {
                    let is_repeated = place.as_ref().is_some_and(|place| self.changed.contains_key(place));
                    urge(viewer, &self.places, place.as_ref(), is_repeated);
                }
                all_changed.extend(places.into_iter().flatten());
            }
            viewer.bindings = bindings;
        }
        self.changed.extend(all_changed.into_iter().map(|place| (place, now)));
        if hints.is_some() != self.hints.is_some() {
            self.viewers.values_mut().for_each(ViewerReviews::mark_changed);
        }
        self.hints = hints;
    }

    /// Returns the reviews to ask now. Call it at least once a second, and after each answer.
    pub fn next(&mut self, now: Millis) -> Vec<Review> {
        self.budget.refill(now);
        self.sweep.refill(now);
        self.wanted.refill(now);
        let gone = self.viewers.iter().filter(|(_, viewer)| now - viewer.seen >= FORGET_AFTER);
        let gone: Vec<_> = gone.map(|(user, _)| user.clone()).collect();
        gone.iter().for_each(|user| self.forget(user));
        self.turns.retain(|user| self.viewers.contains_key(user));
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.is_active(now)) {
            viewer.begin_renewals(now);
        }
        let mut reviews = Vec::new();
        let places = std::mem::take(&mut self.places);
        let hinted = self.hints.is_some();
        self.pick(now, &mut reviews, |viewer| viewer.next_everywhere(now));
        // A right that may be lost comes before everything that can only add.
        self.pick(now, &mut reviews, |viewer| viewer.next_urgent(Urgency::Recheck, now));
        // A page waits for these. They have their own budget, so that a script that opens every VM delays no scope.
        let before = reviews.len();
        let most = self.wanted.whole();
        self.pick_most(most, now, &mut reviews, |viewer| viewer.wanted.next(now));
        (before..reviews.len()).for_each(|_| self.wanted.take());
        // Renewals can take the whole budget, and can wait: their allows stand meanwhile. So every second time they come
        // after what is not known yet: a newcomer or a lost right does not wait for the renewals of others.
        self.renews_first = !self.renews_first;
        if self.renews_first {
            self.pick(now, &mut reviews, |viewer| viewer.next_renewal(now));
        }
        self.pick(now, &mut reviews, |viewer| viewer.next_urgent(Urgency::Hinted, now));
        if !hinted {
            self.pick(now, &mut reviews, |viewer| viewer.next_first(&places, now));
        }
        // Neither renewals nor bindings that change without end take the whole budget from the other.
        if !self.renews_first {
            self.pick(now, &mut reviews, |viewer| viewer.next_urgent(Urgency::Repeated, now));
        }
        self.pick(now, &mut reviews, |viewer| viewer.next_renewal(now));
        self.pick(now, &mut reviews, |viewer| viewer.next_urgent(Urgency::Repeated, now));
        let before = reviews.len();
        let most = self.sweep.whole();
        self.pick_most(most, now, &mut reviews, |viewer| viewer.next_sweep(&places, now));
        (before..reviews.len()).for_each(|_| self.sweep.take());
        self.places = places;
        // The user who had the first turn now comes last the next time.
        if let Some(first) = reviews.first().map(|review| review.user.clone()) {
            let at = self.turns.iter().position(|user| *user == first).unwrap_or_default();
            self.turns.rotate_left(at + 1);
        }
        reviews
    }

    fn pick(
        &mut self,
        now: Millis,
        into: &mut Vec<Review>,
        next: impl FnMut(&mut ViewerReviews) -> Option<Question>,
    ) {
        self.pick_most(usize::MAX, now, into, next);
    }

    /// Takes one question of each active user in turn, until there is none, or no room. Service accounts of one
    /// namespace share a turn: its tenant can make any number of them.
    fn pick_most(
        &mut self,
        most: usize,
        now: Millis,
        into: &mut Vec<Review>,
        mut next: impl FnMut(&mut ViewerReviews) -> Option<Question>,
    ) {
        let (mut picked, mut goes_on) = (0, true);
        while std::mem::take(&mut goes_on) {
            let mut served: Vec<&str> = Vec::new();
            for user in &self.turns {
                let room = match self.probe_at {
                    Some(at) => self.under_way == 0 && at <= now,
                    None => self.under_way < REVIEWS_AT_ONCE,
                };
                if !room || self.budget.is_empty() || picked >= most {
                    return;
                }
                let tenant = user.account_namespace();
                if tenant.is_some_and(|tenant| served.contains(&tenant)) {
                    continue;
                }
                let viewer = self.viewers.get_mut(user).filter(|viewer| viewer.is_active(now));
                let Some(question) = viewer.and_then(&mut next) else { continue };
                self.budget.take();
                self.under_way += 1;
                picked += 1;
                goes_on = true;
                served.extend(tenant);
                into.push(Review { user: user.clone(), question });
            }
        }
    }

    /// Takes the answer of a review.
    pub fn answered(&mut self, review: Review, decision: Decision, now: Millis) {
        self.under_way = self.under_way.saturating_sub(1);
        self.probe_at = (decision == Decision::Failed).then_some(now + RETRY_AFTER);
        if let Some(viewer) = self.viewers.get_mut(&review.user) {
            let is_lost = viewer.answered(review.question, decision, &self.places, now);
            if is_lost {
                urge_bindings(viewer, &self.places);
            }
        }
    }

    /// Counts what is asked and about whom, but for the reviews of the last minute. Namespaces are those of when
    /// somebody was there last.
    pub fn counts(&self, now: Millis) -> ReviewCounts {
        let active = || self.viewers.values().filter(|viewer| viewer.is_active(now));
        let namespaces: HashSet<&str> = self.places.live.keys().map(|(namespace, _)| &**namespace).collect();
        let hinted = self.hints.is_some();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        ReviewCounts {
            last_minute: 0,
            users: number(active().count()),
            namespaces: number(namespaces.len()),
            waiting: number(active().map(|viewer| viewer.waiting(&self.places, hinted, now)).sum()),
            late: number(active().filter(|viewer| viewer.is_late(now)).count()),
        }
    }

    /// Returns the users who are in the book.
    pub fn len(&self) -> usize {
        self.viewers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.viewers.is_empty()
    }
}

/// Asks first about the namespaces that the user has bindings in.
fn urge_bindings(viewer: &mut ViewerReviews, places: &Places) {
    let namespaces: Vec<_> = viewer.bindings.keys().flatten().cloned().collect();
    namespaces.iter().for_each(|namespace| urge(viewer, places, Some(namespace), false));
}

/// Asks first about what a binding of this place can have changed: a namespace's rows, or everything.
fn urge(viewer: &mut ViewerReviews, places: &Places, place: Option<&Arc<str>>, is_repeated: bool) {
    viewer.wanted.forget(place.map(|namespace| &**namespace));
    match place {
        Some(namespace) => {
            let kinds = ReviewedResource::ALL.into_iter().filter_map(|resource| match resource {
                ReviewedResource::Rows(kind) => Some(kind),
                ReviewedResource::Nodes | ReviewedResource::Events => None,
            });
            for kind in kinds.filter(|kind| places.live.contains_key(&(namespace.clone(), *kind))) {
                let question =
                    Question { namespace: Some(namespace.clone()), resource: ReviewedResource::Rows(kind) };
                viewer.urge(question, is_repeated, places);
            }
        }
        None => {
            for resource in ReviewedResource::ALL {
                viewer.urge(Question { namespace: None, resource }, false, places);
            }
            let allowed: Vec<_> = viewer.allowed().cloned().collect();
            allowed.into_iter().for_each(|question| viewer.urge(question, false, places));
        }
    }
}
