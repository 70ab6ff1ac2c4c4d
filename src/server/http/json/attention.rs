//! The JSON of `GET /api/attention`.

use std::collections::BTreeMap;

use serde::Serialize;

use i18n::{Lang, Render};
use model::{Millis, attention::AttentionKind, vm_health::Level};
use wukong_core::incidents::{Incident, IncidentSubject, Incidents, VmName};

/// What needs a person, the most urgent first.
#[derive(Serialize)]
pub struct AttentionJson<'a> {
    /// All incidents; `incidents` has at most 200.
    total: u32,
    /// Number of VMs that need attention, and of those that need it for each kind of cause. A VM may need it for several.
    vms: u32,
    kinds: BTreeMap<&'static str, u32>,
    incidents: Vec<IncidentJson<'a>>,
}

impl<'a> AttentionJson<'a> {
    pub fn new(incidents: &'a Incidents) -> Self {
        let Incidents { total, vms, kinds, rows } = incidents;
        Self {
            total: *total,
            vms: *vms,
            kinds: AttentionKind::ALL.into_iter().map(AttentionKind::code).zip(*kinds).collect(),
            incidents: rows.iter().map(IncidentJson::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct IncidentJson<'a> {
    kind: &'static str,
    /// `critical` or `high`.
    level: &'static str,
    what: String,
    why: String,
    /// Empty if nobody knows.
    fix: String,
    /// Null if no object says since when.
    since: Option<Millis>,
    /// Whole days until a disk is full; null if its history does not tell.
    days: Option<u32>,
    /// The node that is the cause, if it is one.
    node: Option<&'a str>,
    /// Number of its VMs.
    vms: u32,
    /// The first of them, at most 5.
    named: Vec<VmNameJson<'a>>,
    /// The parameters with which the list and its downloads have exactly its VMs.
    query: String,
}

impl<'a> IncidentJson<'a> {
    fn new(incident: &'a Incident) -> Self {
        Self {
            kind: incident.kind.code(),
            level: match incident.level {
                Level::Critical => "critical",
                Level::High | Level::Normal => "high",
            },
            what: incident.title(Lang::English).concat(),
            why: incident.why.english(),
            fix: incident.fix.english(),
            since: incident.since,
            days: incident.days,
            node: match &incident.subject {
                IncidentSubject::Node(name) => Some(name),
                IncidentSubject::Vm(_) | IncidentSubject::Several => None,
            },
            vms: incident.vms,
            named: incident.named.iter().map(VmNameJson::new).collect(),
            query: incident.query().to_query_string(),
        }
    }
}

#[derive(Serialize)]
struct VmNameJson<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl<'a> VmNameJson<'a> {
    fn new(VmName { namespace, name }: &'a VmName) -> Self {
        Self { namespace, name }
    }
}
