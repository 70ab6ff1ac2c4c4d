//! One viewer: what is known about their rights, and what is asked next.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use model::{Millis, vm::Kind};

use super::{
    ACTIVE_FOR, Decision, Question, RETRY_AFTER, ReviewedResource,
    answer::ReviewAnswer,
    places::{PlaceSet, Places},
    wanted::WantedRights,
};
use crate::scope::{Kinds, Scope};

/// Why a question is asked soon, the most urgent reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A right that may be lost.
    Recheck,
    /// What was never asked, or was denied, and a binding hints at.
    Hinted,
    /// What a binding hints at that changes again and again.
    Repeated,
}

#[derive(Clone, Debug)]
pub(super) struct ViewerReviews {
    /// When the user last looked.
    pub seen: Millis,
    /// When what the user may see can differ from when it was last computed. `None` if only a call can change it.
    pub refresh_at: Option<Millis>,
    /// The answers for the whole cluster, in the order of [`ReviewedResource::ALL`].
    everywhere: [ReviewAnswer; 4],
    /// The allows for single namespaces.
    allowed: HashMap<Question, ReviewAnswer>,
    /// The same questions, ordered by when they are asked again.
    due: BTreeSet<(Millis, Question)>,
    /// Questions that are asked first: those that a binding hints at, or may have changed.
    urgent: BTreeMap<Question, Urgency>,
    /// Questions that are not answered yet.
    asked: HashSet<Question>,
    /// The places that were answered with a denial. One stays in it while it is asked again: denials may be old.
    denied: PlaceSet,
    /// How many places were asked about for the first time.
    first_pass: usize,
    /// The place where the sweep goes on after the first pass.
    sweep: usize,
    pub bindings: BTreeMap<Option<Arc<str>>, u64>,
    /// The rights that the viewer needed lately for one VM's page.
    pub wanted: WantedRights,
}

impl ViewerReviews {
    pub fn new(now: Millis) -> Self {
        Self {
            seen: now,
            refresh_at: Some(Millis::MIN),
            everywhere: [ReviewAnswer::default(); 4],
            allowed: HashMap::new(),
            due: BTreeSet::new(),
            urgent: BTreeMap::new(),
            asked: HashSet::new(),
            denied: PlaceSet::default(),
            first_pass: 0,
            sweep: 0,
            bindings: BTreeMap::new(),
            wanted: WantedRights::default(),
        }
    }

    pub fn is_active(&self, now: Millis) -> bool {
        now - self.seen < ACTIVE_FOR
    }

    /// Notes which allows wait for their renewal. Called at least once a second while the user looks.
    pub fn begin_renewals(&mut self, now: Millis) {
        let answers = self.everywhere.iter_mut().filter(|answer| answer.due <= now);
        answers.for_each(|answer| answer.wait(now));
        let due = self.due.range(..=(now, last_question())).map(|(_, question)| question);
        for question in due.chain(self.urgent.keys()) {
            if let Some(answer) = self.allowed.get_mut(question).filter(|answer| answer.due <= now) {
                answer.wait(now);
            }
        }
    }

    /// Returns a question about the whole cluster that is due.
    pub fn next_everywhere(&mut self, now: Millis) -> Option<Question> {
        let due = |at: &usize| {
            let question = Question { namespace: None, resource: ReviewedResource::ALL[*at] };
            self.everywhere[*at].due <= now && !self.asked.contains(&question)
        };
        let at = (0..ReviewedResource::ALL.len()).find(due)?;
        // It is due again when its answer comes, or at once if it is urged meanwhile.
        self.everywhere[at].due = Millis::MAX;
        Some(self.begin(Question { namespace: None, resource: ReviewedResource::ALL[at] }))
    }

    /// Returns an allow of one namespace that is due for its renewal.
    pub fn next_renewal(&mut self, now: Millis) -> Option<Question> {
        self.due.first().filter(|(due, _)| *due <= now)?;
        let (_, question) = self.due.pop_first()?;
        Some(self.begin(question))
    }

    /// Returns a question of this urgency that a binding hints at.
    pub fn next_urgent(&mut self, urgency: Urgency, now: Millis) -> Option<Question> {
        loop {
            let is_next =
                |(question, of): &(&Question, &Urgency)| **of == urgency && !self.asked.contains(*question);
            let question = self.urgent.iter().find(is_next)?.0.clone();
            self.urgent.remove(&question);
            if !self.is_covered(&question, now) {
                return Some(self.begin(question));
            }
            // It is not renewed any more: it is asked again once the right for the whole cluster is lost.
            self.allowed.remove(&question);
        }
    }

    /// Returns the next question about a namespace that was never asked about. `None` while it is not known
    /// what the user may list everywhere.
    pub fn next_first(&mut self, places: &Places, now: Millis) -> Option<Question> {
        if !self.knows_everywhere(now) {
            return None;
        }
        self.continue_first_pass(places, now).map(|question| self.begin(question))
    }

    fn continue_first_pass(&mut self, places: &Places, now: Millis) -> Option<Question> {
        while self.first_pass < places.all.len() {
            self.first_pass += 1;
            let Some(question) = places.question(self.first_pass - 1) else { continue };
            if !self.denied.contains(self.first_pass - 1) && self.is_worth_asking(&question, now) {
                return Some(question);
            }
        }
        None
    }

    /// Returns the next question that no binding hints at: one that was never asked, then one whose answer was
    /// a denial.
    pub fn next_sweep(&mut self, places: &Places, now: Millis) -> Option<Question> {
        if !self.knows_everywhere(now) {
            return None;
        }
        if self.first_pass < places.all.len() {
            return self.continue_first_pass(places, now).map(|question| self.begin(question));
        }
        for _ in 0..places.all.len() {
            self.sweep = (self.sweep + 1) % places.all.len();
            let Some(question) = places.question(self.sweep) else { continue };
            if self.is_worth_asking(&question, now) {
                return Some(self.begin(question));
            }
        }
        None
    }

    /// Notes that what the user may see, or how much of it is known, may have changed.
    pub fn mark_changed(&mut self) {
        self.refresh_at = Some(Millis::MIN);
    }

    /// Returns whether no question waits for its answer.
    pub fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// Returns when an allow ends or becomes late without another call.
    pub fn changes_at(&self, now: Millis) -> Option<Millis> {
        self.everywhere.iter().chain(self.allowed.values()).filter_map(|answer| answer.changes_at(now)).min()
    }

    /// Makes this question one of the next, even if its answer is known. `is_repeated` says that this comes again
    /// and again: a known answer then waits for everything else.
    pub fn urge(&mut self, question: Question, is_repeated: bool, places: &Places) {
        self.mark_changed();
        if question.namespace.is_none() {
            if let Some(answer) = question.resource.index().and_then(|at| self.everywhere.get_mut(at)) {
                answer.due = 0;
            }
            return;
        }
        self.remove_due(&question);
        let urgency = match () {
            () if is_repeated && self.is_answered(&question, places) => Urgency::Repeated,
            () if self.allowed.contains_key(&question) => Urgency::Recheck,
            () => Urgency::Hinted,
        };
        let queued = self.urgent.entry(question).or_insert(urgency);
        *queued = urgency.min(*queued);
    }

    fn is_answered(&self, question: &Question, places: &Places) -> bool {
        self.allowed.contains_key(question) || self.is_denied(question, places)
    }

    fn is_denied(&self, question: &Question, places: &Places) -> bool {
        places.index(question).is_some_and(|at| self.denied.contains(at))
    }

    /// Returns every namespace question that was answered with an allow.
    pub fn allowed(&self) -> impl Iterator<Item = &Question> {
        self.allowed.keys()
    }

    /// Begins the first pass again, after the order of places has changed from `before`.
    pub fn reorder(&mut self, before: &Places, places: &Places) {
        (self.first_pass, self.sweep) = (0, 0);
        let known = places.all.iter().enumerate();
        let known =
            known.filter(|(_, place)| before.index_of(place).is_some_and(|at| self.denied.contains(at)));
        self.denied = known.map(|(at, _)| at).collect();
    }

    /// Records an answer. Returns true if the user lost a cluster-wide right. Their namespaces were never
    /// reviewed, so they must be reviewed now.
    pub fn answered(&mut self, question: Question, decision: Decision, places: &Places, now: Millis) -> bool {
        if let (ReviewedResource::Events, Some(namespace)) = (question.resource, &question.namespace) {
            self.wanted.answered(namespace, decision, now);
            return false;
        }
        self.mark_changed();
        self.asked.remove(&question);
        match question.namespace {
            None => self.answered_everywhere(question.resource, decision, now),
            Some(_) => {
                self.answered_namespace(question, decision, places, now);
                false
            }
        }
    }

    fn answered_everywhere(&mut self, resource: ReviewedResource, decision: Decision, now: Millis) -> bool {
        let answer = resource.index().and_then(|at| self.everywhere.get_mut(at));
        let Some(answer) = answer else { return false };
        let is_lost = answer.is_allow() && decision == Decision::Denied;
        // A binding changed while the review was under way: the API server is asked again.
        let is_urged = answer.due != Millis::MAX;
        match decision {
            Decision::Failed => answer.due = now + RETRY_AFTER,
            Decision::Allowed | Decision::Denied => {
                *answer = ReviewAnswer::new(decision == Decision::Allowed, now)
            }
        }
        if is_urged {
            answer.due = now;
        }
        if is_lost {
            (self.first_pass, self.sweep) = (0, 0);
            self.denied = PlaceSet::default();
        }
        is_lost
    }

    fn answered_namespace(&mut self, question: Question, decision: Decision, places: &Places, now: Millis) {
        // It may be there already: a question that was urged while it was being asked is answered twice.
        self.remove_due(&question);
        let is_urged = self.urgent.contains_key(&question);
        let is_denied = self.is_denied(&question, places);
        match decision {
            Decision::Allowed => {
                let answer = ReviewAnswer::new(true, now);
                self.due.insert((answer.due, question.clone()));
                self.allowed.insert(question, answer);
            }
            Decision::Denied => {
                let was_allowed = self.allowed.remove(&question).is_some();
                // A first answer that is older than the binding does not count.
                if let Some(at) = places.index(&question).filter(|_| was_allowed || !is_urged) {
                    self.denied.insert(at);
                }
            }
            // An allow is asked again soon. What failed is asked before what was never asked. A known denial stands
            // until the sweep asks again.
            Decision::Failed => match self.allowed.get_mut(&question) {
                Some(answer) => {
                    answer.due = now + RETRY_AFTER;
                    self.due.insert((answer.due, question));
                }
                None if is_denied => {}
                None => drop(self.urgent.insert(question, Urgency::Hinted)),
            },
        }
    }

    /// Returns whether it is known what the user may list in the whole cluster.
    pub fn knows_everywhere(&self, now: Millis) -> bool {
        self.everywhere.iter().all(|answer| answer.is_known(now))
    }

    /// Returns how many of the places have an answer that counts. With hints, one that no binding hints at
    /// counts as answered. An answer counts while it is asked again: nothing that a binding's author does, and no
    /// review that fails, makes a known user unknown.
    pub fn checked(&self, places: &Places, hinted: bool, now: Millis) -> usize {
        let is_checked = |((namespace, kind), at): &(&(Arc<str>, Kind), &usize)| {
            let place = Some((*namespace).clone());
            let question = Question { namespace: place.clone(), resource: ReviewedResource::Rows(*kind) };
            let everywhere = self.everywhere(question.resource);
            if everywhere.is_some_and(|answer| answer.allows(now)) {
                return true;
            }
            match self.allowed.get(&question) {
                Some(answer) => answer.allows(now),
                None => {
                    let is_hinted = hinted && !self.bindings.contains_key(&place);
                    everywhere.is_some_and(|answer| answer.is_known(now))
                        && (self.denied.contains(**at) || is_hinted)
                }
            }
        };
        places.live.iter().filter(is_checked).count()
    }

    /// Returns what the user may see, until when that holds, and whether it holds only because renewals wait.
    pub fn scope(&self, now: Millis) -> (Scope, Option<Millis>, bool) {
        let is_allow = |answer: &&ReviewAnswer| answer.allows(now);
        let mut everywhere = Kinds::default();
        let mut nodes = false;
        for (_, resource) in
            self.everywhere.iter().zip(ReviewedResource::ALL).filter(|(answer, _)| is_allow(answer))
        {
            match resource {
                ReviewedResource::Rows(kind) => everywhere = everywhere.with(kind),
                ReviewedResource::Nodes => nodes = true,
                ReviewedResource::Events => {}
            }
        }
        let mut namespaces: BTreeMap<Box<str>, Kinds> = BTreeMap::new();
        for (question, _) in self.allowed.iter().filter(|(_, answer)| is_allow(answer)) {
            if let (Some(namespace), ReviewedResource::Rows(kind)) = (&question.namespace, question.resource)
            {
                let kinds = namespaces.entry((**namespace).into()).or_default();
                *kinds = kinds.with(kind);
            }
        }
        let ends = self.answers().filter(is_allow).filter_map(ReviewAnswer::allows_until).min();
        (Scope::new(everywhere, namespaces, nodes), ends, self.is_late(now))
    }

    /// Returns whether something is allowed only because its renewal waits.
    pub fn is_late(&self, now: Millis) -> bool {
        self.answers().any(|answer| answer.is_late(now))
    }

    fn answers(&self) -> impl Iterator<Item = &ReviewAnswer> {
        self.everywhere.iter().chain(self.allowed.values())
    }

    /// Returns how many questions are due and not answered yet. With hints, places that no binding hints at are
    /// not due.
    pub fn waiting(&self, places: &Places, hinted: bool, now: Millis) -> usize {
        let everywhere = self.everywhere.iter().filter(|answer| answer.due <= now).count();
        let renewals = self.due.range(..=(now, last_question())).count();
        let first = if hinted { 0 } else { places.all.len().saturating_sub(self.first_pass) };
        self.asked.len() + self.urgent.len() + everywhere + renewals + first
    }

    fn remove_due(&mut self, question: &Question) {
        if let Some(answer) = self.allowed.get(question) {
            self.due.remove(&(answer.due, question.clone()));
        }
    }

    fn begin(&mut self, question: Question) -> Question {
        self.asked.insert(question.clone());
        question
    }

    fn is_worth_asking(&self, question: &Question, now: Millis) -> bool {
        !self.is_covered(question, now)
            && !self.allowed.contains_key(question)
            && !self.asked.contains(question)
            && !self.urgent.contains_key(question)
    }

    /// Returns whether the user may list the resource everywhere, so that one namespace need not be asked
    /// about.
    fn is_covered(&self, question: &Question, now: Millis) -> bool {
        self.everywhere(question.resource).is_some_and(|answer| answer.allows(now))
    }

    /// Returns the answer for the whole cluster, if the resource is one that is asked about there.
    fn everywhere(&self, resource: ReviewedResource) -> Option<&ReviewAnswer> {
        self.everywhere.get(resource.index()?)
    }
}

/// Sorts behind every question.
fn last_question() -> Question {
    Question { namespace: Some("\u{10ffff}".into()), resource: ReviewedResource::Nodes }
}
