//! A server whose API server is the test: it knows tokens, and who may list what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::server::{
    access::{Access, Reviews},
    config::{HttpConfig, PublicUrl, SignInConfig, SignInMode, SignInModes},
    http::{
        router,
        sign_in::{SessionKeys, SignIn},
        tests::fixture::{Answer, Server, answer},
    },
};
use axum::{
    body::Body,
    http::{Method, Request},
};
use collector::access::TokenError;
use model::{
    reason::Reason,
    vm::{Kind, Vm},
};
use wukong_core::{
    access::{BindingHints, Decision, Review, ReviewedResource, UserInfo},
    observation::SourceError,
};

/// Kubernetes' part: tokens and rights, which a test changes while it runs.
#[derive(Default)]
pub struct Kubernetes(Mutex<State>);

#[derive(Default)]
struct State {
    users: BTreeMap<String, UserInfo>,
    /// User, namespace (empty for all of them) and resource.
    rights: BTreeSet<(String, String, ReviewedResource)>,
    is_away: bool,
    token_reviews: usize,
    access_reviews: usize,
}

impl Kubernetes {
    /// Adds a user whose token is their name.
    pub fn add_user(&self, name: &str) {
        let user = UserInfo { name: name.to_owned(), ..UserInfo::default() };
        self.0.lock().users.insert(name.to_owned(), user);
    }

    /// Adds another token of a user.
    pub fn add_token(&self, name: &str, token: &str) {
        let mut state = self.0.lock();
        let user = state.users[name].clone();
        state.users.insert(token.to_owned(), user);
    }

    /// Puts a user into these groups.
    pub fn set_groups(&self, user: &str, groups: &[&str]) {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self.0.lock().users.get_mut(user).expect("the user was added").groups = groups;
    }

    /// Rejects the token from now on.
    pub fn end_token(&self, token: &str) {
        self.0.lock().users.remove(token);
    }

    pub fn allow(&self, user: &str, namespace: &str, resource: ReviewedResource) {
        self.0.lock().rights.insert((user.to_owned(), namespace.to_owned(), resource));
    }

    /// Allows to list the rows of every kind in a namespace.
    pub fn allow_rows(&self, user: &str, namespace: &str) {
        for kind in [Kind::Wukong, Kind::VirtualMachine, Kind::VirtualMachineInstance] {
            self.allow(user, namespace, ReviewedResource::Rows(kind));
        }
    }

    /// Allows the members of a group to list the rows of every kind in a namespace.
    pub fn allow_rows_of_group(&self, group: &str, namespace: &str) {
        self.allow_rows(&of_group(group), namespace);
    }

    pub fn revoke(&self, user: &str, namespace: &str) {
        self.0.lock().rights.retain(|(of, place, _)| of != user || place != namespace);
    }

    /// Answers no review any more, or again.
    pub fn set_away(&self, is_away: bool) {
        self.0.lock().is_away = is_away;
    }

    pub fn token_reviews(&self) -> usize {
        self.0.lock().token_reviews
    }

    pub fn access_reviews(&self) -> usize {
        self.0.lock().access_reviews
    }
}

impl Reviews for Kubernetes {
    fn review_token(&self, token: String) -> BoxFuture<'static, Result<UserInfo, TokenError>> {
        let mut state = self.0.lock();
        state.token_reviews += 1;
        let answer = match state.users.get(&token) {
            _ if state.is_away => Err(TokenError::Unanswered(SourceError {
                reason: Reason::Unreachable,
                detail: "away".into(),
            })),
            Some(user) => Ok(user.clone()),
            None => Err(TokenError::Rejected),
        };
        async move { answer }.boxed()
    }

    fn review_access(&self, review: Review) -> BoxFuture<'static, Decision> {
        let mut state = self.0.lock();
        state.access_reviews += 1;
        let namespace = review.question.namespace.as_deref().unwrap_or_default();
        let has = |subject| state.rights.contains(&(subject, namespace.to_owned(), review.question.resource));
        let groups = review.user.groups.iter();
        let decision = match () {
            () if state.is_away => Decision::Failed,
            () if has(review.user.name.clone()) => Decision::Allowed,
            () if groups.map(|group| of_group(group)).any(has) => Decision::Allowed,
            () => Decision::Denied,
        };
        async move { decision }.boxed()
    }
}

/// How the rights of a group are kept: no user has such a name.
fn of_group(group: &str) -> String {
    ["group ", group].concat()
}

/// A server at which people sign in.
pub struct SignInServer {
    pub server: Server,
    pub kubernetes: Arc<Kubernetes>,
    pub hints: watch::Sender<Option<BindingHints>>,
    shutdown: CancellationToken,
}

impl SignInServer {
    pub fn new(vms: Vec<Vm>) -> Self {
        Self::at(vms, None)
    }

    /// Returns a server that browsers reach at this address.
    pub fn at(vms: Vec<Vm>, public_url: Option<&str>) -> Self {
        Self::with_keys(vms, public_url, SessionKeys::of_this_process())
    }

    /// Returns a server whose sessions these keys seal.
    pub fn with_keys(vms: Vec<Vm>, public_url: Option<&str>, keys: SessionKeys) -> Self {
        Self::over(Server::with(vms, HttpConfig::default()), public_url, keys, |sign_in| sign_in)
    }

    /// Returns the same server with sign-in.
    pub fn over(
        server: Server,
        public_url: Option<&str>,
        keys: SessionKeys,
        with: impl FnOnce(SignIn) -> SignIn,
    ) -> Self {
        let modes = SignInModes::from_iter([SignInMode::Token, SignInMode::Oidc]);
        Self::by(modes, server, public_url, keys, with)
    }

    /// Returns the same server with these ways to sign in.
    pub fn by(
        modes: SignInModes,
        Server { app, snapshots, .. }: Server,
        public_url: Option<&str>,
        keys: SessionKeys,
        with: impl FnOnce(SignIn) -> SignIn,
    ) -> Self {
        let kubernetes = Arc::new(Kubernetes::default());
        let (hints, hint_receiver) = watch::channel(None);
        let shutdown = CancellationToken::new();
        let access = Access::new();
        let reviews: Arc<dyn Reviews> = kubernetes.clone();
        tokio::spawn(access.clone().run(
            reviews.clone(),
            snapshots.subscribe(),
            hint_receiver,
            shutdown.clone(),
        ));
        let public_url = public_url.map(|url| PublicUrl::new(url.parse().unwrap()).unwrap());
        let config = SignInConfig { modes, public_url, ..SignInConfig::default() };
        let sign_in = SignIn::new(reviews, access, keys, &config);
        let app = app.with_sign_in(Arc::new(with(sign_in)));
        let server = Server { router: router(app.clone()), app, snapshots };
        Self { server, kubernetes, hints, shutdown }
    }

    /// Sends a request of the program of `user`, whose token is their name.
    pub async fn get_as(&self, user: &str, url: &str) -> Answer {
        self.server.send(Method::GET, url, &[("authorization", &format!("Bearer {user}"))]).await
    }

    /// Sends a request of a browser on this machine, with these cookies.
    pub async fn browse(&self, cookies: &str, url: &str) -> Answer {
        self.server.send(Method::GET, url, &[("host", "localhost"), ("cookie", cookies)]).await
    }

    /// Sends a form from a page of this server, with these cookies.
    pub async fn submit(&self, cookies: &str, url: &str, form: &str) -> Answer {
        self.submit_to("localhost", cookies, url, form).await
    }

    /// Sends a form from a page of this server, which is at this host.
    pub async fn submit_to(&self, host: &str, cookies: &str, url: &str, form: &str) -> Answer {
        let request = Request::post(url)
            .header("host", host)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookies);
        answer(self.server.router.clone(), request.body(Body::from(form.to_owned())).unwrap()).await
    }

    /// Signs a user in, and returns their cookies.
    pub async fn sign_in(&self, user: &str) -> String {
        let answer = self.submit("", "/auth/sign-in", &format!("token={user}")).await;
        assert_eq!(answer.status, 303, "{:?}", answer.body);
        cookies(&answer)
    }
}

impl Drop for SignInServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Returns the cookies that an answer sets, as a browser sends them back.
pub fn cookies(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let kept = set.filter(|cookie| !cookie.contains("Max-Age=0"));
    kept.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
}
