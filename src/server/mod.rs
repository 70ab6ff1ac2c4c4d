//! The native half of the program: starts the collectors, the writer of snapshots and the HTTP server, and
//! stops them together. `main` runs [`Server`]; `check` runs the pipeline without the HTTP server.

pub mod access;
pub mod check;
pub mod config;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod http;
pub mod listen;
pub mod log;
pub mod memory;
mod open_files;
mod pipeline;
pub mod private_file;
#[cfg(test)]
mod tests;
pub mod tls;

use std::sync::Arc;

use anyhow::{Context, bail};
use rustls_pki_types::ServerName;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use collector::clock;
use model::Millis;

use self::{
    access::{Access, Reviews},
    config::{AuthProxyConfig, Config, HttpConfig, ProxyProof, SignInConfig},
    http::{
        App, Assets, ConnectionConfig, RenderThreads, TrustedProxies, WorkLimits,
        history::HistoryReader,
        reader::Reader,
        sign_in::{SessionKeys, SignIn, auth_proxy::AuthProxy, oidc::Oidc},
        vm_events::EventsReader,
    },
    pipeline::{
        backfill::HistoryBackfill,
        publish::{self, Clocks, SnapshotSinks},
    },
    tls::ServerTls,
};
use collector::{
    Budget, PrometheusHistory, QueuedObservation,
    access::Reviewer,
    client::{self, Cluster},
    config::CollectConfig,
    events::{EventLists, events_queue},
    follow_bindings,
    identity_provider::{IdentityProvider, ProviderNames},
    long_term::LongTermHistory,
};
use wukong_core::{
    ClusterState, Limits, Snapshot, access::BindingHints, frame::Identity, history::HistoryStore,
    observation::Targets,
};

const CLOCKS: Clocks = Clocks { steady: clock::steady, wall: clock::now };
/// Capacity of the channel of observations. Collectors wait while it is full.
const OBSERVATIONS: usize = 256;
/// Bytes of `--collection-limit` for each VM that is shown: with the default limit, 21,845 are.
const LISTED_VM: usize = 3 << 10;

/// Collects, joins and serves until `shutdown`. Fails as [`Server::prepare`] and [`Server::run`] do.
pub async fn run(config: Config, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
    Server::prepare(config).await?.run(listener, shutdown).await
}

/// A server that knows which cluster it will read, and has not started.
pub struct Server {
    cluster: Cluster,
    identity: Identity,
    assets: Assets,
    collect: CollectConfig,
    http: HttpConfig,
    session_keys: SessionKeys,
    tls: Option<Arc<ServerTls>>,
    oidc: Option<Oidc>,
    auth_proxy: Option<AuthProxy>,
}

impl Server {
    /// Finds the cluster's address and credentials. Fails if the configuration, the embedded files, or the files
    /// that it names are not valid. The cluster itself need not answer yet.
    pub async fn prepare(config: Config) -> anyhow::Result<Self> {
        let Config { kubernetes, collect, http, .. } = config;
        let cluster = client::connect(&kubernetes, &collect).await?;
        let identity = Identity {
            cluster: cluster.summary.context.clone(),
            demo: kubernetes.embedded.is_some(),
            refresh: millis(collect.metrics_interval.min(collect.disk_interval)) as u32,
        };
        let assets = Assets::embedded().context("the embedded files are not those of a build")?;
        let session_keys = match &http.sign_in.session_key_file {
            Some(path) => SessionKeys::read_or_create(path).await?,
            None => SessionKeys::of_this_process(),
        };
        let tls = match &http.tls {
            Some(files) => Some(ServerTls::read(files.clone(), clock::now).await?),
            None => None,
        };
        let oidc = oidc(&http.sign_in, &collect)?;
        if let Some(oidc) = &oidc {
            oidc.check_secret().await?;
        }
        let auth_proxy = auth_proxy(&http.sign_in, &collect)?;
        Ok(Self { cluster, identity, assets, collect, http, session_keys, tls, oidc, auth_proxy })
    }

    /// Runs until `shutdown`. Fails if the HTTP server fails or if a task of the pipeline ends unexpectedly.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
        // The first snapshot comes from a state without observations: the first readers see every source as
        // starting.
        let first = ClusterState::new(limits(&self.collect)).join(clock::steady());
        let (snapshots, reader) = watch::channel(Arc::new(first));
        let history = Arc::new(HistoryStore::default());
        let budget = self.cluster.budgets.outside.clone();
        let (is_namespaced, keys) = (self.collect.namespaces.is_some(), self.session_keys);
        let reviewer = (!self.http.sign_in.modes.is_none()).then(|| {
            let hints = follow_bindings(&self.cluster, &self.collect, shutdown.clone());
            (Reviewer::new(&self.cluster, is_namespaced), hints)
        });
        let observations = mpsc::channel(OBSERVATIONS);
        let observer = observations.0.clone();
        let event_lists = EventLists::new(&self.cluster);
        let mut pipeline =
            start_recording(self.cluster, &self.collect, observations, snapshots, history.clone(), &shutdown);
        let (asker, questions) = events_queue();
        pipeline.spawn(event_lists.run(questions, shutdown.clone()));
        let histories =
            start_history(history, &self.collect, budget, reader.clone(), &mut pipeline, &shutdown);
        let sign_in = reviewer.map(|reviewer| {
            start_sign_in(
                reviewer,
                (keys, self.oidc, self.auth_proxy),
                &self.http,
                reader.clone(),
                observer,
                &mut pipeline,
                &shutdown,
            )
        });
        if let Some(tls) = &self.tls {
            pipeline.spawn(tls.clone().follow(shutdown.clone()));
        }
        let reader = Reader::new(reader, self.identity, clock::now)
            .with_history(histories)
            .with_events(EventsReader::new(asker));
        let address = listener.local_addr().context("the listener has no address")?;
        let threads = RenderThreads::start().context("cannot start threads")?;
        let limits = WorkLimits::default().on(&threads);
        let app = App::new(reader, self.assets, &self.http).listening_on(address.ip()).with_limits(limits);
        let app = sign_in.into_iter().fold(app, App::with_sign_in);
        let router = http::router(app);
        let connections = ConnectionConfig {
            most: open_files::connections(http::MOST_CONNECTIONS),
            proxies: TrustedProxies::new(&self.http.trusted_proxies),
            tls: self.tls,
            proxy_name: proxy_name(&self.http.sign_in)?,
            ..ConnectionConfig::default()
        };
        let answering = tokio::spawn(http::listen(listener, router, connections, shutdown.clone()));
        let ended = tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            ended = pipeline.join_next() => ended,
        };
        shutdown.cancel();
        answering.await.context("the HTTP server failed")?;
        match ended {
            Some(ended) => bail!("a task of the pipeline ended unexpectedly: {ended:?}"),
            None => Ok(()),
        }
    }
}

/// Starts the two tasks between the cluster and the snapshots, without a history that others can read.
fn pipeline(
    cluster: Cluster,
    config: &CollectConfig,
    snapshots: watch::Sender<Arc<Snapshot>>,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    start_recording(cluster, config, mpsc::channel(OBSERVATIONS), snapshots, Arc::default(), shutdown)
}

/// Starts the collectors and the writer of snapshots, which records the figures of every snapshot in
/// `history`.
fn start_recording(
    cluster: Cluster,
    config: &CollectConfig,
    (sender, observations): (mpsc::Sender<QueuedObservation>, mpsc::Receiver<QueuedObservation>),
    snapshots: watch::Sender<Arc<Snapshot>>,
    history: Arc<HistoryStore>,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    let (targets, targets_receiver) = watch::channel(Targets::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(collector::run(cluster, config.clone(), sender, targets_receiver, shutdown.clone()));
    let sinks = SnapshotSinks { snapshots, targets, history };
    tasks.spawn(publish::run(limits(config), CLOCKS, observations, sinks, shutdown.clone()));
    tasks
}

/// Starts the tasks of the history: the backfill, which fills gaps and computes findings, and the queries of
/// Prometheus if one is configured. Returns the reader of both.
fn start_history(
    store: Arc<HistoryStore>,
    config: &CollectConfig,
    budget: Budget,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> HistoryReader {
    let long_term = PrometheusHistory::new(config, budget).map(|history_source| {
        let (long_term, questions) = LongTermHistory::new();
        tasks.spawn(history_source.run(questions, shutdown.clone()));
        long_term
    });
    let (publish_findings, findings) = watch::channel(Arc::default());
    let backfill = HistoryBackfill {
        store: store.clone(),
        snapshots,
        long_term: long_term.clone(),
        findings: publish_findings,
        clock: clock::now,
    };
    tasks.spawn(backfill.run(shutdown.clone()));
    HistoryReader::new(store, findings, long_term)
}

/// Starts what signing in needs: the reviews of who may see what, and the reading of session keys that change.
fn start_sign_in(
    (reviewer, hints): (Reviewer, watch::Receiver<Option<BindingHints>>),
    (keys, oidc, auth_proxy): (SessionKeys, Option<Oidc>, Option<AuthProxy>),
    http: &HttpConfig,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    observations: mpsc::Sender<QueuedObservation>,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> Arc<SignIn> {
    let record = reviewer.record();
    let reviews: Arc<dyn Reviews> = Arc::new(reviewer);
    let access = Access::new();
    tasks.spawn(access.clone().run(reviews.clone(), snapshots, hints, shutdown.clone()));
    tasks.spawn(access.clone().report(record, observations, shutdown.clone()));
    let config = &http.sign_in;
    let sign_in = SignIn::new(reviews, access, keys, config).over_tls(http.tls.is_some());
    let sign_in = oidc.into_iter().fold(sign_in, SignIn::with_oidc);
    let sign_in = Arc::new(auth_proxy.into_iter().fold(sign_in, SignIn::with_auth_proxy));
    tasks.spawn(sign_in.clone().look_after(config.session_key_file.clone(), shutdown.clone()));
    sign_in
}

/// Returns the provider at which people sign in, if there is one. It is not asked yet.
fn oidc(config: &SignInConfig, collect: &CollectConfig) -> anyhow::Result<Option<Oidc>> {
    let (Some(oidc), Some(public_url)) = (&config.oidc, &config.public_url) else { return Ok(None) };
    let issuer = oidc.issuer.parse::<::http::Uri>().context("--oidc-issuer is not a URL")?;
    let names = ProviderNames { name: "OIDC provider (--oidc-issuer)", ca_flag: "--oidc-ca" };
    let provider = IdentityProvider::new(names, issuer, oidc.ca.clone(), &collect.proxies);
    Oidc::new(oidc, public_url, Arc::new(provider)).map(Some)
}

/// Returns the proxy through which people come, if there is one. Its issuer is not asked yet.
fn auth_proxy(config: &SignInConfig, collect: &CollectConfig) -> anyhow::Result<Option<AuthProxy>> {
    let Some(proxy) = &config.auth_proxy else { return Ok(None) };
    let (name, url, ca) = match &proxy.proof {
        ProxyProof::Assertion(assertion) => {
            let issuer = assertion.issuer.parse::<::http::Uri>().context("--proxy-issuer is not a URL")?;
            let (name, url) = match &assertion.jwks_url {
                Some(url) => ("JWKS (--proxy-jwks-url)", url.clone()),
                None => ("issuer (--proxy-issuer)", issuer),
            };
            (name, url, assertion.ca.clone())
        }
        // Nobody is asked.
        ProxyProof::Certificate(_) => ("", ::http::Uri::default(), None),
    };
    let names = ProviderNames { name, ca_flag: "--proxy-ca" };
    let issuer = IdentityProvider::new(names, url, ca, &collect.proxies);
    AuthProxy::new(proxy, Arc::new(issuer)).map(Some)
}

/// Returns the name in the client certificate by which the proxy proves itself, if it does so.
fn proxy_name(config: &SignInConfig) -> anyhow::Result<Option<ServerName<'static>>> {
    let certificate = config.auth_proxy.as_ref().and_then(AuthProxyConfig::client_certificate);
    let name = certificate.map(|certificate| ServerName::try_from(certificate.name.clone()));
    name.transpose().context("--proxy-client-name is not a name of a certificate")
}

fn limits(config: &CollectConfig) -> Limits {
    Limits {
        metrics_interval: millis(config.metrics_interval),
        disk_interval: millis(config.disk_interval),
        ceph_interval: config.ceph.as_ref().map_or(0, |ceph| millis(ceph.interval)),
        disk_sources: config.asked_disk_sources(),
        virt_handler: config.virt_handler.is_some(),
        most_vms: config.collection_limit / LISTED_VM,
    }
}

/// Converts to milliseconds. The cast loses nothing, since intervals are an hour at most.
fn millis(duration: std::time::Duration) -> Millis {
    duration.as_millis() as Millis
}
