//! The report of `check`, in the order in which a person would fix it; as text and as JSON. It does no I/O.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use serde::Serialize;

use super::permissions::{PermissionReview, Purpose};
use collector::client::{CredentialError, Summary};
use i18n::Render;
use i18n::{self, Lang, text_in};
use model::{
    figure::Figure,
    reason::Reason,
    source::{SourceHealth, SourceId, SourceState},
    vm::{Status, Vm},
};
use wukong_core::Snapshot;

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// Something is missing, and figures are or may be missing because of it.
    Missing,
    /// It does not exist or is not used, and no figure is missing because of it.
    Unused,
    /// It works, but a person should look at it.
    Warning,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub category: &'static str,
    pub check: String,
    pub verdict: Verdict,
    /// What was found; empty if `check` already says it.
    pub detail: String,
    /// What a person can do; empty if there is nothing to fix.
    pub fix: String,
}

impl Check {
    /// Makes a line of the report.
    pub fn new(
        category: &'static str,
        check: impl Into<String>,
        verdict: Verdict,
        detail: impl Into<String>,
        fix: &str,
    ) -> Self {
        Self { category, check: check.into(), verdict, detail: detail.into(), fix: fix.to_owned() }
    }
}

/// All checks, and whether nothing is missing.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub ok: bool,
    pub checks: Vec<Check>,
}

/// Smallest difference of clocks, in milliseconds, that is reported.
const LEAST_SKEW: i64 = 60_000;
const SIGN_IN_FIX: &str = "Without it, nobody can sign in. Grant it: each rbac.yaml in deploy/ has the rule. \
    tokenreviews are cluster-scoped: only a ClusterRole can grant them, as in deploy/cluster.";
const OPTIONAL_FIX: &str = "Grant it if this matters: each rbac.yaml in deploy/ has the rule.";
const CONNECTION: &str = "connection";
const API: &str = "kubernetes-api";
const PERMISSIONS: &str = "permissions";
const SOURCES: &str = "sources";
const COVERAGE: &str = "coverage";

impl Report {
    /// Starts the report with the connection and the API server's answer. `version` is the server's version,
    /// or why the server did not answer.
    pub fn new(
        cluster: &Summary,
        credentials: Result<(), CredentialError>,
        version: Result<String, String>,
    ) -> Self {
        let mut report = Self { ok: true, checks: Vec::new() };
        report.connection(cluster, credentials);
        let cluster = &cluster.context;
        let (check, verdict, detail) = match version {
            Ok(version) => {
                (format!("the API server of {cluster} answers: {version}"), Verdict::Ok, String::new())
            }
            Err(why) => (format!("the API server of {cluster} answers"), Verdict::Missing, why),
        };
        let fix = match verdict {
            Verdict::Missing => "Check whether kubectl works with the same kubeconfig: kubectl version",
            _ => "",
        };
        report.add(Check { category: API, check, verdict, detail, fix: fix.to_owned() });
        report
    }

    /// Adds the cluster's context, address and proxy, and whether credentials were obtained.
    fn connection(&mut self, cluster: &Summary, credentials: Result<(), CredentialError>) {
        let proxy = cluster.proxy.as_deref().unwrap_or("none");
        let facts = [
            format!("context: {}", cluster.context),
            format!("address: {}", cluster.address),
            format!("proxy: {proxy}"),
        ];
        for check in facts {
            let (detail, fix) = (String::new(), String::new());
            self.add(Check { category: CONNECTION, check, verdict: Verdict::Ok, detail, fix });
        }
        let verdict = if credentials.is_ok() { Verdict::Ok } else { Verdict::Missing };
        let detail = credentials.err().map(|error| error.to_string()).unwrap_or_default();
        let check = format!("credentials: {}", cluster.credentials);
        self.add(Check { category: CONNECTION, check, verdict, detail, fix: String::new() });
    }

    pub(super) fn add(&mut self, check: Check) {
        self.ok &= check.verdict != Verdict::Missing;
        self.checks.push(check);
    }

    /// Adds one check for each permission.
    pub fn permissions(&mut self, answers: Vec<PermissionReview>) {
        let may = |allowed: &PermissionReview| allowed.allowed == Ok(true);
        // One of the two permissions is enough to reach the kubelets.
        const KUBELET: Purpose = Purpose::Source(SourceId::Kubelet);
        let kubelet = answers.iter().any(|allowed| allowed.purpose == KUBELET && may(allowed));
        for answer in answers {
            let (verdict, detail) = match &answer.allowed {
                Ok(true) if !answer.is_served => (
                    Verdict::Unused,
                    "allowed, but this cluster does not serve it; namespaces appear later after a sign-in or a \
                     change"
                        .to_owned(),
                ),
                Ok(true) => (Verdict::Ok, String::new()),
                Ok(false) if answer.purpose == KUBELET && kubelet => {
                    (Verdict::Unused, "denied; kubelets are reached in the other way".to_owned())
                }
                Ok(false) if answer.purpose == Purpose::SignInHints => (
                    Verdict::Unused,
                    "denied; namespaces appear later after a sign-in or a change".to_owned(),
                ),
                Ok(false) if answer.purpose == Purpose::Events => {
                    (Verdict::Unused, "denied; a VM's page does not list its events".to_owned())
                }
                Ok(false) => (Verdict::Missing, "denied".to_owned()),
                Err(why) => (Verdict::Missing, why.clone()),
            };
            let fix = match (verdict, answer.purpose) {
                (Verdict::Missing, Purpose::TokenSignIn | Purpose::SignIn) => SIGN_IN_FIX,
                (_, Purpose::SignInHints | Purpose::Events) if answer.allowed != Ok(true) => OPTIONAL_FIX,
                (Verdict::Missing, _) => "Grant it: README.md has a table of the tiers in deploy/.",
                _ => "",
            };
            let (check, fix) = (answer.what, fix.to_owned());
            self.add(Check { category: PERMISSIONS, check, verdict, detail, fix });
        }
    }

    /// Adds a warning if the clocks differ by more than a minute. `ahead` is by how many milliseconds the
    /// API server's clock is ahead of this machine's, or `None` if unknown.
    pub fn clock(&mut self, ahead: Option<i64>) {
        let check = ahead.and_then(|ahead| clocks_differ(ahead, "the API server's"));
        check.into_iter().for_each(|check| self.add(check));
    }

    /// Adds what signing in at an identity provider needs.
    pub fn sign_in(&mut self, checks: Vec<Check>) {
        checks.into_iter().for_each(|check| self.add(check));
    }

    /// Adds the state of every source, and for how many running VMs each figure is known.
    pub fn snapshot(&mut self, snapshot: &Snapshot) {
        let inventory = inventory_known(&snapshot.sources);
        for source in &snapshot.sources {
            self.add(of_source(source, inventory));
            if !source.warning.is_empty() {
                self.add(warning(source));
            }
        }
        self.coverage(&snapshot.vms);
    }

    fn coverage(&mut self, vms: &[Arc<Vm>]) {
        let running: Vec<&Vm> =
            vms.iter().map(|vm| &**vm).filter(|vm| vm.summary.status == Status::Running).collect();
        for (name, figure) in FIGURES {
            let mut gaps: BTreeMap<&str, usize> = BTreeMap::new();
            let missing = running
                .iter()
                .filter_map(|vm| figure(vm))
                .map(|reason| text_in(Lang::English, i18n::reason(reason)));
            missing.for_each(|text| *gaps.entry(text).or_default() += 1);
            let lacking: usize = gaps.values().sum();
            let detail: Vec<_> = gaps.iter().map(|(text, count)| format!("{count}: {text}")).collect();
            self.add(Check {
                category: COVERAGE,
                check: format!(
                    "{name} known for {} of {} running VMs",
                    running.len() - lacking,
                    running.len()
                ),
                verdict: if lacking == 0 { Verdict::Ok } else { Verdict::Missing },
                detail: detail.join("; "),
                fix: String::new(),
            });
        }
    }

    /// Returns whether all is well, or where something is missing.
    fn status(&self) -> String {
        let missing = self.checks.iter().filter(|check| check.verdict == Verdict::Missing);
        let mut categories: Vec<_> = missing.map(|check| check.category).collect();
        categories.dedup();
        match categories.is_empty() {
            true => "all well".to_owned(),
            false => format!("something is missing: {}", categories.join(", ")),
        }
    }

    /// Returns the report for a terminal, in the form of `linkerd check`: a mark and the check, and below it
    /// the detail and the fix.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut category = "";
        for check in &self.checks {
            if check.category != category {
                category = check.category;
                // Writing into a string cannot fail.
                let _ = writeln!(
                    out,
                    "{}{category}\n{}",
                    if out.is_empty() { "" } else { "\n" },
                    "-".repeat(category.len())
                );
            }
            let _ = writeln!(out, "{} {}", mark(check.verdict), check.check);
            for line in [&check.detail, &check.fix].into_iter().filter(|line| !line.is_empty()) {
                let _ = writeln!(out, "    {line}");
            }
        }
        let _ = writeln!(out, "\nStatus: {}", self.status());
        out
    }
}

/// Returns a warning if a clock differs from this machine's by more than a minute. `ahead` is by how many milliseconds
/// it is ahead.
pub fn clocks_differ(ahead: i64, whose: &str) -> Option<Check> {
    let by = std::time::Duration::from_secs(ahead.unsigned_abs() / 1000);
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    (ahead.abs() > LEAST_SKEW).then(|| Check {
        category: CONNECTION,
        check: "the clocks differ".to_owned(),
        verdict: Verdict::Warning,
        detail: format!("{whose} clock is {} {way} this machine's", humantime::format_duration(by)),
        fix: "No figure is lost. Check which clock is wrong: timedatectl".to_owned(),
    })
}

type MissingFigure = fn(&Vm) -> Option<Reason>;

const FIGURES: [(&str, MissingFigure); 3] = [
    ("CPU", |vm| reason(&vm.summary.usage.cpu)),
    ("memory", |vm| reason(&vm.summary.usage.memory)),
    ("disk", disk_reason),
];

fn reason(figure: &Figure) -> Option<Reason> {
    figure.missing().map(|missing| missing.reason)
}

/// Returns why the first volume without a figure has none: a disk that is known in part is not known. A VM
/// without volumes lacks nothing.
fn disk_reason(vm: &Vm) -> Option<Reason> {
    let more = vm.summary.usage.disk_volumes as usize > vm.volumes.len();
    vm.volumes.iter().find_map(|volume| reason(&volume.usage)).or(more.then_some(Reason::TooLarge))
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "√",
        Verdict::Missing => "×",
        Verdict::Unused => "-",
        Verdict::Warning => "!",
    }
}

/// Returns whether any VMs are known: one of the two resources is enough.
fn inventory_known(sources: &[SourceHealth]) -> bool {
    let inventory = [SourceId::Wukongs, SourceId::VirtualMachines];
    sources.iter().any(|source| inventory.contains(&source.id) && source.state == SourceState::Healthy)
}

fn warning(source: &SourceHealth) -> Check {
    Check {
        category: SOURCES,
        check: format!("{}: something to look at", source.id.code()),
        verdict: Verdict::Warning,
        detail: source.warning.english(),
        fix: String::new(),
    }
}

fn of_source(source: &SourceHealth, inventory: bool) -> Check {
    let lost = source.vms_missing > 0;
    let verdict = match source.state {
        SourceState::Healthy => Verdict::Ok,
        SourceState::NotConfigured => Verdict::Unused,
        SourceState::Absent if source.id.is_second() && !lost => Verdict::Unused,
        SourceState::Absent
            if matches!(source.id, SourceId::Wukongs | SourceId::VirtualMachines) && inventory =>
        {
            Verdict::Unused
        }
        _ => Verdict::Missing,
    };
    let mut check = format!("{}: {}", source.id.code(), source.state.code());
    match (source.vms, source.volumes) {
        (0, 0) => {}
        (vms, 0) => check.push_str(&format!(", figures of {vms} VMs")),
        (vms, volumes) => check.push_str(&format!(", figures of {vms} VMs, {volumes} volumes")),
    }
    Check { category: SOURCES, check, verdict, detail: source.error.english(), fix: source.fix.english() }
}
