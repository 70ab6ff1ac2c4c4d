//! The Ceph source: asks a ceph-mgr's dashboard how much RBD images use, and only for images that VMs use.
//!
//! Each image costs the manager about 20 ms of work. So rounds are minutes apart, a round reads pages of a
//! pool or single images, whichever takes fewer requests, and it ends when its time budget is used up.

mod api;
mod login;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use self::{
    api::{Api, PAGE},
    login::Login,
};
use super::{
    budget::Budget,
    duration::seconds,
    error::{Failure, source_error},
    outside::{Site, SiteLimits},
    poll::Source,
};
use crate::config::{CephConfig, ProxyRules};
use crate::{
    clock::steady,
    observation_sender::{Closed, ObservationSender},
};
use i18n::{key, msg};
use model::{message::Key, reason::Reason, source::SourceId};
use wukong_core::observation::{Image, ImageStats, Observation, SourceError, Targets};

/// The minimum time between two rounds if the second starts early: for new images, or after a failure.
const EARLY: Duration = Duration::from_secs(30);
const CREDENTIALS: Key = key!(collect.user_and_password);
/// Bytes that are read of an answer: ten times a page of images.
const LARGEST_ANSWER: usize = 8 << 20;

/// The poll of one dashboard.
pub struct Ceph {
    site: Site,
    config: CephConfig,
    login: Login,
    targets: watch::Receiver<Targets>,
    /// The images of the last round; `started` is when it began.
    requested: Arc<[Image]>,
    started: Option<Instant>,
    /// The minimum time between the starts of two rounds.
    min_wait: Duration,
    failed: bool,
}

impl Ceph {
    pub fn new(config: CephConfig, limit: usize, budget: Budget, targets: watch::Receiver<Targets>) -> Self {
        let limits = SiteLimits { deadline: config.deadline, limit: limit.min(LARGEST_ANSWER), budget };
        let site = Site::new("Ceph", config.url.clone(), config.ca.clone(), limits);
        let login = Login::new(config.user_file.clone(), config.password_file.clone());
        let min_wait = EARLY.min(config.interval);
        Self {
            site,
            config,
            login,
            targets,
            requested: Arc::default(),
            started: None,
            min_wait,
            failed: false,
        }
    }

    /// Uses the proxy that the environment names for this address, if any.
    pub fn through(self, proxies: &ProxyRules) -> Self {
        Self { site: self.site.through(proxies), ..self }
    }

    /// Fills `found`. A failure ends the round, or the rest of one pool.
    async fn ask(&mut self, images: &[Image], found: &mut Vec<ImageStats>) -> Result<(), Failure> {
        let session = self.site.open().await?;
        let mut api = Api::enter(session, &mut self.login).await?;
        let mut failed = None;
        for (pool, wanted) in by_pool(images) {
            match ask_pool(&mut api, pool, wanted, found).await {
                Err(failure) if is_of_its_pool(&failure) => drop(failed.get_or_insert(failure)),
                other => other?,
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn out_of_budget(&self, found: usize, of: usize) -> Failure {
        let (found, all, seconds) = (found.to_string(), of.to_string(), seconds(self.config.budget));
        let detail = msg!(collect.budget, found = found, all = all, seconds = seconds);
        Failure::Own(source_error(Reason::TimedOut, detail))
    }

    fn describe(&self, failure: &Failure) -> SourceError {
        self.site.describe(CREDENTIALS, failure)
    }

    /// Whether there are images that were not part of the last round.
    fn has_new_images(&self) -> bool {
        let requested: BTreeSet<&Image> = self.requested.iter().collect();
        self.targets.borrow().images.iter().any(|image| !requested.contains(image))
    }

    /// When the next round begins: early if there are new images, unless the last round failed.
    fn start(&self, due: Instant) -> Instant {
        let earliest = self.started.map_or_else(Instant::now, |started| started + self.min_wait);
        if !self.failed && self.has_new_images() { earliest } else { due.max(earliest) }
    }

    /// How long to wait at least before the next round. After a login that timed out this is the whole
    /// interval: it may have been a failed login, and Ceph counts each of them.
    fn min_wait(&self, failure: Option<&Failure>) -> Duration {
        match failure {
            Some(Failure::Late(_)) if !self.login.is_done() => self.config.interval,
            _ => EARLY.min(self.config.interval),
        }
    }
}

impl Source for Ceph {
    const ID: SourceId = SourceId::Ceph;

    /// Runs one round. It logs in even if there are no images, so that a wrong password is found before the
    /// first VM.
    async fn round(&mut self, sender: &ObservationSender) -> Result<Option<Failure>, Closed> {
        let images = self.targets.borrow_and_update().images.clone();
        if images.is_empty() && self.login.is_done() {
            self.requested = images;
            return Ok(None);
        }
        let began = Instant::now();
        let mut found = Vec::new();
        let outcome = timeout(self.config.budget, self.ask(&images, &mut found)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(self.out_of_budget(found.len(), images.len())));
        let failure = outcome.err();
        // What was found is sent, even if the rest of the round failed.
        if failure.is_none() || !found.is_empty() {
            sender.send(Observation::Ceph { at: steady(), result: Ok(found) }).await?;
        }
        if let Some(failure) = &failure {
            let result = Err(self.describe(failure));
            sender.send(Observation::Ceph { at: steady(), result }).await?;
        }
        // A round that only logged in must not delay the first images.
        if failure.is_some() || !images.is_empty() {
            self.started = Some(began);
        }
        (self.requested, self.failed, self.min_wait) =
            (images, failure.is_some(), self.min_wait(failure.as_ref()));
        Ok(failure)
    }

    async fn wait(&mut self, due: Instant) {
        let mut publishing = true;
        loop {
            tokio::select! {
                () = sleep_until(self.start(due)) => return,
                changed = self.targets.changed(), if publishing => publishing = changed.is_ok(),
            }
        }
    }
}

fn by_pool(images: &[Image]) -> BTreeMap<&str, BTreeSet<&Image>> {
    let mut pools: BTreeMap<&str, BTreeSet<&Image>> = BTreeMap::new();
    for image in images {
        pools.entry(&image.pool).or_default().insert(image);
    }
    pools
}

/// Whether the failure concerns one pool only, so that the next pool is worth a try. Requests to a pool whose
/// placement groups are down hang.
fn is_of_its_pool(failure: &Failure) -> bool {
    match failure {
        Failure::Late(_) | Failure::TooMany(_) | Failure::Undecodable => true,
        failure => is_of_an_image(failure),
    }
}

/// Asks for the images of one pool. The image of a static volume is looked for in the default namespace
/// first.
async fn ask_pool(
    api: &mut Api<'_>,
    pool: &str,
    wanted: BTreeSet<&Image>,
    found: &mut Vec<ImageStats>,
) -> Result<(), Failure> {
    let at_home = |image: &Image| Image { any_namespace: false, ..image.clone() };
    let (statics, exact): (Vec<&Image>, Vec<&Image>) =
        wanted.into_iter().partition(|image| image.any_namespace);
    let mut statics: BTreeMap<Image, &Image> =
        statics.into_iter().map(|image| (at_home(image), image)).collect();
    let homes: Vec<Image> = statics.keys().cloned().collect();
    // Written directly into `found`, so that it is kept if the budget of the round ends here.
    let before = found.len();
    let outcome = ask_images(api, pool, exact.iter().copied().chain(&homes).collect(), found).await;
    let mut renamed = Vec::new();
    for stats in &mut found[before..] {
        if let Some(image) = statics.remove(&stats.image) {
            let of_both = exact.contains(&&stats.image).then(|| stats.clone());
            renamed.extend(of_both);
            stats.image = image.clone();
        }
    }
    found.append(&mut renamed);
    if outcome? == Listing::Readable && !statics.is_empty() {
        find_in_namespaces(api, pool, statics.into_values(), found).await?;
    }
    Ok(())
}

/// Whether the list of a pool can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    Readable,
    /// An image that cannot be opened or is too large fails the whole list, so each image was asked for by
    /// itself.
    Broken,
    /// The pool does not exist.
    Absent,
}

/// Reads pages until single requests for the remaining images would be fewer. An image on no page does not
/// exist.
async fn ask_images(
    api: &mut Api<'_>,
    pool: &str,
    mut wanted: BTreeSet<&Image>,
    found: &mut Vec<ImageStats>,
) -> Result<Listing, Failure> {
    let (mut offset, mut total, mut first) = (0, None, None);
    while wanted.len() > pages_left(offset, total, wanted.len()) {
        let page = match api.page(pool, offset).await {
            Err(failure) if is_of_an_image(&failure) => {
                return ask_each(api, wanted, found).await.map(|()| Listing::Broken);
            }
            page => page?,
        };
        let Some(page) = page else { return Ok(Listing::Absent) };
        let begins = page.images.first().map(|stats| stats.image.clone());
        // Either the list has ended, or the API returns its first page for every offset.
        if page.count == 0 || begins.is_some() && begins == first {
            return Ok(Listing::Readable);
        }
        (first, total, offset) = (begins, page.total.or(total), offset + page.count);
        found.extend(page.images.into_iter().filter(|stats| wanted.remove(&stats.image)));
    }
    ask_each(api, wanted, found).await.map(|()| Listing::Readable)
}

/// Asks for images one by one: an image that cannot be opened costs only itself.
async fn ask_each(
    api: &mut Api<'_>,
    wanted: BTreeSet<&Image>,
    found: &mut Vec<ImageStats>,
) -> Result<(), Failure> {
    let mut failed = None;
    for image in wanted {
        match api.image(image).await {
            Err(failure) if is_of_an_image(&failure) => drop(failed.get_or_insert(failure)),
            result => found.extend(result?),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Reads the whole list of the pool. An image in any namespace counts if it is the only one of its name in
/// the pool.
async fn find_in_namespaces(
    api: &mut Api<'_>,
    pool: &str,
    wanted: impl Iterator<Item = &Image>,
    found: &mut Vec<ImageStats>,
) -> Result<(), Failure> {
    let mut places: BTreeMap<&str, (&Image, Named)> =
        wanted.map(|image| (&*image.name, (image, Named::Nothing))).collect();
    let (mut offset, mut first) = (0, None);
    while let Some(page) = api.page(pool, offset).await? {
        let begins = page.images.first().map(|stats| stats.image.clone());
        if page.count == 0 || begins.is_some() && begins == first {
            break;
        }
        (first, offset) = (begins, offset + page.count);
        for stats in page.images {
            if let Some((_, named)) = places.get_mut(&*stats.image.name) {
                named.add(stats);
            }
        }
        if page.total.is_some_and(|total| offset >= total) {
            break;
        }
    }
    for (image, named) in places.into_values() {
        if let Named::Alone(stats) = named {
            found.push(ImageStats { image: image.clone(), ..stats });
        }
    }
    Ok(())
}

/// The images of one name in a pool. Only one is kept, since a list without an end may repeat a name for
/// ever.
enum Named {
    Nothing,
    Alone(ImageStats),
    Several,
}

impl Named {
    fn add(&mut self, stats: ImageStats) {
        *self = match self {
            Self::Nothing => Self::Alone(stats),
            Self::Alone(_) | Self::Several => Self::Several,
        };
    }
}

/// Whether the failure concerns one image only, so that another is worth a try: the manager could not open
/// this one, or its snapshots make the answer too large.
fn is_of_an_image(failure: &Failure) -> bool {
    failure.is_status(400) || failure.is_status(500) || matches!(failure, Failure::TooLarge(_))
}

/// The minimum number of pages left in a pool, by the total that the server last reported, which may be out
/// of date.
fn pages_left(offset: usize, total: Option<usize>, wanted: usize) -> usize {
    let images = total.map_or(wanted, |total| total.saturating_sub(offset));
    images.div_ceil(PAGE).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_from_what_is_known() {
        for (offset, total, wanted, want) in [
            (0, None, 1, 1),
            (0, None, 250, 3),
            (0, Some(250), 2, 3),
            (100, Some(250), 2, 2),
            (300, Some(250), 2, 1),
            (0, Some(0), 5, 1),
        ] {
            assert_eq!(pages_left(offset, total, wanted), want, "{offset} {total:?} {wanted}");
        }
    }

    /// A manager whose list has no end repeats one image for ever.
    #[test]
    fn of_a_name_that_a_list_repeats_nothing_is_kept() {
        let image = Image { pool: "p".into(), namespace: "".into(), name: "i".into(), any_namespace: false };
        let mut named = Named::Nothing;
        named.add(ImageStats { image: image.clone(), size: 1, used: Ok(1) });
        assert!(matches!(named, Named::Alone(_)));
        for _ in 0..3 {
            named.add(ImageStats { image: image.clone(), size: 1, used: Ok(1) });
            assert!(matches!(named, Named::Several));
        }
    }

    #[tokio::test]
    async fn a_login_that_may_have_been_a_bad_one_waits_longest() {
        let config = CephConfig {
            url: "http://c".parse().unwrap(),
            user_file: "/user".into(),
            password_file: "/password".into(),
            ca: None,
            interval: Duration::from_secs(300),
            budget: Duration::from_secs(60),
            deadline: Duration::from_secs(15),
        };
        let ceph = Ceph::new(config, 1, Budget::new(&[]), watch::channel(Targets::default()).1);
        let late = Failure::Late(Duration::from_secs(15));
        let min_wait = [None, Some(&Failure::Undecodable), Some(&late)].map(|failure| ceph.min_wait(failure));
        assert_eq!(min_wait, [30, 30, 300].map(Duration::from_secs));
    }

    #[test]
    fn images_are_grouped_by_pool() {
        let image =
            |pool: &str, name: &str| Image { pool: pool.into(), name: name.into(), ..Image::default() };
        let images = [image("b", "1"), image("a", "2"), image("b", "0")];
        let pools: Vec<_> = by_pool(&images).into_iter().map(|(pool, images)| (pool, images.len())).collect();
        assert_eq!(pools, [("a", 1), ("b", 2)]);
    }
}
