//! The JSON of `GET /api/nodes/{name}`.

use serde::Serialize;

use super::{
    figure::unit,
    groups::{ConsumerJson, GroupJson},
    totals::SourceJson,
};
use i18n::Render;
use model::{
    figure::Unit,
    groups::Consumer,
    nodes::{NodeReport, Ranking, Split, TopBy},
    rates::Rate,
    source::{SourceHealth, SourceId},
    vm_health::{Level, Problem},
};

/// `GET /api/nodes/{name}`: the node as `/api/groups?by=node` has it, what is wrong with it, and its largest consumers.
#[derive(Serialize)]
pub struct NodeAnswerJson<'a> {
    #[serde(flatten)]
    page: NodePageJson<'a>,
    /// The source of the node's own object.
    nodes: Option<SourceJson>,
}

impl<'a> NodeAnswerJson<'a> {
    pub fn new(report: &'a NodeReport, sources: &'a [SourceHealth]) -> Self {
        let source = sources.iter().find(|source| source.id == SourceId::Nodes);
        Self { page: NodePageJson::new(report), nodes: source.map(SourceJson::new) }
    }
}

/// One node, as events have it too.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePageJson<'a> {
    #[serde(flatten)]
    group: GroupJson<'a>,
    /// `critical`, `high` or `normal`.
    level: &'static str,
    /// What is wrong with it, the most serious first.
    problems: Vec<ProblemJson>,
    used_by_vms: SplitsJson,
    top: TopJson<'a>,
    /// Findings about its VMs, which `/api/insights?node=` lists.
    findings: u32,
}

impl<'a> NodePageJson<'a> {
    pub fn new(report: &'a NodeReport) -> Self {
        let NodeReport { group, level, problems, top: _, findings } = report;
        let [cpu, memory] = report.splits().map(|split| split.map(SplitJson::new));
        Self {
            group: GroupJson::new(group, true),
            level: match level {
                Level::Critical => "critical",
                Level::High => "high",
                Level::Normal => "normal",
            },
            problems: problems.iter().map(ProblemJson::new).collect(),
            used_by_vms: SplitsJson { cpu, memory },
            top: TopJson::new(report),
            findings: *findings,
        }
    }
}

#[derive(Serialize)]
struct ProblemJson {
    text: String,
    /// What helps; empty if nothing has to be done.
    advice: String,
}

impl ProblemJson {
    fn new(Problem { text, advice }: &Problem) -> Self {
        Self { text: text.english(), advice: advice.english() }
    }
}

/// Null if not every running VM is measured, or if the two figures are of different moments.
#[derive(Serialize)]
struct SplitsJson {
    cpu: Option<SplitJson>,
    memory: Option<SplitJson>,
}

/// In the unit of the node's `used`: what the running VMs use of it, and what everything else does.
#[derive(Serialize)]
struct SplitJson {
    vms: u64,
    rest: u64,
}

impl SplitJson {
    fn new(Split { vms, rest }: Split) -> Self {
        Self { vms, rest }
    }
}

/// The VMs that use the most of each, largest first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopJson<'a> {
    memory: RankingJson<ConsumerJson<'a>>,
    cpu: RankingJson<ConsumerJson<'a>>,
    network: RankingJson<TrafficJson<'a>>,
    disk_io: RankingJson<TrafficJson<'a>>,
}

#[derive(Serialize)]
struct RankingJson<T> {
    vms: Vec<T>,
    /// Its other VMs, also those whose figure is not known.
    more: u32,
}

impl<T> RankingJson<T> {
    fn new<'a>(ranking: &'a Ranking, json: impl Fn(&'a Consumer) -> T) -> Self {
        Self { vms: ranking.vms.iter().map(json).collect(), more: ranking.more }
    }
}

impl<'a> TopJson<'a> {
    fn new(report: &'a NodeReport) -> Self {
        let of = |by: TopBy| &report.top[by as usize];
        let amounts =
            |by, kind| RankingJson::new(of(by), move |consumer| ConsumerJson::new(consumer, unit(kind)));
        Self {
            memory: amounts(TopBy::Memory, Unit::Bytes),
            cpu: amounts(TopBy::Cpu, Unit::Nanocores),
            network: RankingJson::new(of(TopBy::Network), TrafficJson::new),
            disk_io: RankingJson::new(of(TopBy::DiskIo), TrafficJson::new),
        }
    }
}

#[derive(Serialize)]
struct TrafficJson<'a> {
    namespace: &'a str,
    name: &'a str,
    used: f64,
    unit: &'static str,
    stale: bool,
    /// Some of its interfaces are not known, so there is at least this much.
    partial: bool,
}

impl<'a> TrafficJson<'a> {
    fn new(consumer: &'a Consumer) -> Self {
        let Consumer { namespace, name, used, of: _, stale, partial } = consumer;
        let used = Rate(*used).per_second();
        Self { namespace, name, used, unit: "bytes/second", stale: *stale, partial: *partial }
    }
}
