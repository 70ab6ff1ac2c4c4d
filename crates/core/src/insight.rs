//! Derives findings and hints from a day of points of each VM. Pure arithmetic; docs/history.md states the
//! rules. The history task of `pipeline` calls `compute_findings`, and `http` serves the pages.

use std::{collections::HashSet, sync::Arc};

pub use super::findings::{Findings, Running};
use super::{
    Scope, Visible,
    frame::{Identity, frame},
    history::{COARSE, Day, HistoryStore, index},
    problems::{is_of_backend, is_short_of},
    select::on_node,
};
use model::{
    Millis,
    activity_history::AmountPoint,
    figure::Unit,
    history::{Point, Series},
    insight::{
        Filling, Finding, FindingKind, Hints, Insight, InsightQuery, InsightSort, InsightTotals, NoHint,
        PAGE_SIZE, Resource, Sizing, Verdict, Window,
    },
    query::Order,
    view::InsightsView,
    vm::{Status, Vm, Volume},
};

/// Hours of history that each hint needs.
pub const NEEDED_HOURS: u32 = 24;
/// Known five-minute means that a hint needs: nine in ten of the day's 288.
const ENOUGH: u32 = (COARSE.len * 9 / 10) as u32;
/// Tenths of a percent. A VM is undersized if its 95th percentile is at least `UNDERSIZED`, oversized if it is
/// below `OVERSIZED`.
pub(super) const UNDERSIZED: u64 = 900;
const OVERSIZED: u64 = 500;
/// Recommended allocation in percent of the 95th percentile: a quarter more.
const HEAD_ROOM: u64 = 125;
/// Steps of an allocation, as people order it: whole cores of CPU, whole Gi of memory.
const CORE: u64 = 1_000_000_000;
const GI: u64 = 1 << 30;

/// Five-minute means in an hour. Half of them are enough for a median.
const PER_HOUR: usize = 12;
/// The least rise in a day that counts, in tenths of a percent of the disk. Points have a resolution of a
/// tenth of a percent, so a smaller rise may be none.
const LEAST_RISE: f64 = 5.0;
/// The median distance of the hours from the line is at most this: in tenths of a percent, or as a part of
/// the rise.
const SCATTER: f64 = 1.0;
const SCATTER_OF_RISE: f64 = 0.08;
/// The newest hour is at most this far from the line, as a part of the rise. After a disk was cleaned up, the
/// line does not tell when it will be full.
const NEWEST_OFF: f64 = 0.2;
/// The part of the whole day's slope that the last third must have; otherwise the growth has ended.
const LEAST_RECENT_SLOPE: f64 = 0.25;
/// The slope of a credible line is at most this many times its lower bound.
const MOST_SLOPE: f64 = 3.0;
/// Nothing is predicted beyond this number of days.
const HORIZON_DAYS: f64 = 90.0;
/// Quantile of the normal distribution for a 95 % confidence interval.
const Z_95: f64 = 1.96;

impl Findings {
    /// Returns the findings about VMs of the scope, most urgent first.
    pub fn of(&self, scope: &Scope) -> impl Iterator<Item = &Insight> {
        self.findings.iter().filter(|row| scope.allows(row.kind, &row.namespace))
    }

    /// Returns the totals of the VMs of the scope.
    pub fn totals(&self, scope: &Scope) -> InsightTotals {
        let mut totals = InsightTotals::default();
        for ((_, _), running) in self.running.iter().filter(|((kind, name), _)| scope.allows(*kind, name)) {
            totals.running += running.vms;
            totals.judged += running.judged;
        }
        self.of(scope).for_each(|row| count(&mut totals, &row.finding));
        totals
    }
}

/// Computes the findings for every running VM. Takes half a second for 10,000 VMs, which is too long for the
/// writer of snapshots.
pub fn compute_findings(vms: &[Arc<Vm>], store: &HistoryStore, now: Millis) -> Findings {
    let mut result = Findings { at: Some(now), ..Findings::default() };
    for vm in vms.iter().filter(|vm| vm.summary.status == Status::Running) {
        let hints = hints(vm, store, now);
        let (kind, namespace) = (vm.summary.kind, vm.summary.namespace.as_str());
        let judged = is_judged(&hints.cpu) || is_judged(&hints.memory) || is_judged(&hints.disk);
        let running = result.running.entry((kind, namespace.into())).or_default();
        running.vms += 1;
        running.judged += u32::from(judged);
        let row = |finding| {
            let (namespace, name) = (namespace.to_owned(), vm.summary.name.clone());
            Insight { kind, namespace, name, finding }
        };
        result.findings.extend(findings(&hints).map(row));
    }
    let urgency = InsightQuery::default();
    result.findings.sort_by(|a, b| order(a, b, &urgency));
    result
}

fn is_judged<T>(hint: &Result<T, NoHint>) -> bool {
    !matches!(hint, Err(NoHint::TooShort { .. }))
}

fn findings(hints: &Hints) -> impl Iterator<Item = Finding> {
    let sized = [&hints.cpu, &hints.memory].into_iter().filter_map(|hint| {
        let sizing = (*hint).ok()?;
        match sizing.verdict {
            Verdict::Fits => None,
            Verdict::Undersized => Some(Finding::Undersized(sizing)),
            Verdict::Oversized { .. } => Some(Finding::Oversized(sizing)),
        }
    });
    hints.disk.clone().ok().map(Finding::FillingUp).into_iter().chain(sized)
}

fn count(totals: &mut InsightTotals, finding: &Finding) {
    match finding {
        Finding::FillingUp(_) => totals.filling_up += 1,
        Finding::Undersized(_) => totals.undersized += 1,
        Finding::Oversized(sizing) => {
            totals.oversized += 1;
            let (sum, vms) = match sizing.resource() {
                Resource::Cpu => (&mut totals.cpu, &mut totals.cpu_vms),
                _ => (&mut totals.memory, &mut totals.memory_vms),
            };
            *sum = sum.saturating_add(sizing.reclaimable());
            *vms += 1;
        }
    }
}

/// Returns what the last day suggests for one VM.
pub fn hints(vm: &Vm, store: &HistoryStore, now: Millis) -> Hints {
    let day = store.day(vm, now);
    let mut hints = Hints { cpu: cpu(vm, &day), memory: memory(vm, &day), disk: disk(vm, &day) };
    for sizing in [&mut hints.cpu, &mut hints.memory].into_iter().flatten() {
        if matches!(sizing.verdict, Verdict::Oversized { .. }) && is_short_of(vm, sizing.resource()) {
            sizing.verdict = Verdict::Fits;
        }
    }
    // The newest five minutes are not over yet.
    let sizings = [&mut hints.cpu, &mut hints.memory].into_iter().flatten().map(|sizing| &mut sizing.window);
    let fillings = hints.disk.iter_mut().map(|filling| &mut filling.window);
    sizings.chain(fillings).for_each(|window| window.to = window.to.min(now));
    hints
}

fn cpu(vm: &Vm, day: &Day) -> Result<Sizing, NoHint> {
    let (day, of) = (&day.figures[index(Resource::Cpu)], vm.summary.cpu.unwrap_or(0));
    let mut sizing = sizing(day, Unit::Nanocores, of)?;
    let last_hour = day.points.iter().rev().take(PER_HOUR).filter_map(|point| point.tenths());
    let recent = last_hour.max().map_or(0, |tenths| amount(tenths.into(), of));
    if matches!(sizing.verdict, Verdict::Oversized { enough } if enough < recent) {
        sizing.verdict = Verdict::Fits;
    }
    Ok(sizing)
}

/// The guest's own figure decides: the host also counts what the guest has not given back.
fn memory(vm: &Vm, day: &Day) -> Result<Sizing, NoHint> {
    let of = vm.summary.memory.unwrap_or(0);
    let by_guest =
        day.guest_memory.as_ref().and_then(|guest| sizing(&in_percent(guest, of), Unit::Bytes, of).ok());
    match by_guest {
        Some(sizing) => Ok(Sizing { by_guest: true, ..sizing }),
        None => sizing(&day.figures[index(Resource::Memory)], Unit::Bytes, of),
    }
}

/// Returns the forecast of the volume that is full first. Only if no volume has enough history, it is that of all disks
/// together, which may be known from Prometheus.
fn disk(vm: &Vm, day: &Day) -> Result<Filling, NoHint> {
    let forecast = |(volume, series): (&Volume, &Option<Series<AmountPoint>>)| {
        let sample = volume.usage.sample().filter(|sample| !is_of_backend(sample))?;
        let hint = filling(&in_percent(series.as_ref()?, sample.of), sample.used, sample.of);
        Some(hint.map(|filling| Filling { volume: Some(volume.name.as_str().into()), ..filling }))
    };
    let known = vm.volumes.iter().zip(&day.volumes).filter_map(forecast).filter(is_judged);
    let first = known.min_by_key(|hint| match hint {
        Ok(filling) => (0, filling.days),
        Err(NoHint::Unclear) => (1, 0),
        Err(NoHint::Far) => (2, 0),
        Err(NoHint::Steady | NoHint::TooShort { .. }) => (3, 0),
    });
    first.unwrap_or_else(|| match vm.summary.usage.disk.sample() {
        Some(sample) => filling(&day.figures[index(Resource::Disk)], sample.used, sample.of),
        None => Err(too_short(0)),
    })
}

/// Returns amounts in percent of the allocation or the capacity of today.
fn in_percent(amounts: &Series<AmountPoint>, of: u64) -> Series {
    let point = |point: &AmountPoint| point.amount().map_or(Point::GAP, |amount| Point::of(amount, of));
    Series { start: amounts.start, step: amounts.step, points: amounts.points.iter().map(point).collect() }
}

fn too_short(known: u32) -> NoHint {
    NoHint::TooShort { minutes: known * (COARSE.step / 60_000) as u32, needed: NEEDED_HOURS * 60 }
}

/// Returns the window, or `TooShort` if too little of it is known.
fn window(day: &Series) -> Result<Window, NoHint> {
    let known = day.points.iter().filter(|point| point.tenths().is_some()).count() as u32;
    let all = day.points.len() as u32;
    let begins = day.points.iter().take(PER_HOUR).any(|point| point.tenths().is_some());
    if known < ENOUGH || !begins {
        return Err(too_short(known));
    }
    Ok(Window { from: day.start, to: day.at(day.points.len()), known, all })
}

pub(super) fn sizing(day: &Series, unit: Unit, of: u64) -> Result<Sizing, NoHint> {
    let window = window(day)?;
    let stats = day.stats().filter(|_| of > 0).ok_or(too_short(0))?;
    let amount = |tenths: u32| amount(tenths.into(), of);
    let (p95, peak) = (amount(stats.p95), amount(stats.max));
    let verdict = match u64::from(stats.p95) {
        UNDERSIZED.. => Verdict::Undersized,
        p95_tenths if p95_tenths < OVERSIZED => judge_low_use(unit, p95, peak, of),
        _ => Verdict::Fits,
    };
    Ok(Sizing { unit, p95, peak, of, verdict, by_guest: false, window })
}

/// Returns the amount for tenths of a percent, rounded up because it is shown as "at most".
fn amount(tenths: u64, of: u64) -> u64 {
    u64::try_from((u128::from(tenths) * u128::from(of)).div_ceil(1000)).unwrap_or(u64::MAX)
}

/// Decides whether an allocation can shrink. A guest that lacks CPU for a moment waits. A guest that lacks
/// memory is killed, so for memory the peak has to fit too.
fn judge_low_use(unit: Unit, p95: u64, peak: u64, of: u64) -> Verdict {
    let roomy = p95.saturating_mul(HEAD_ROOM).div_ceil(100);
    let (wanted, part) = match unit {
        Unit::Nanocores => (roomy, CORE),
        Unit::Bytes => (roomy.max(peak), GI),
    };
    let enough = wanted.max(1).div_ceil(part).saturating_mul(part);
    if enough < of { Verdict::Oversized { enough } } else { Verdict::Fits }
}

/// Fits a line through the hours' medians by the Theil–Sen estimator, which tolerates many outliers, and
/// predicts when the disk is full.
pub(super) fn filling(day: &Series, used: u64, of: u64) -> Result<Filling, NoHint> {
    let window = window(day)?;
    if of == 0 {
        return Err(too_short(window.known));
    }
    // At least 20 hours have one: fewer than 30 of the window's points are gaps.
    let medians = medians(day);
    let line = Line::through(&medians);
    let rise = line.slope * f64::from(NEEDED_HOURS);
    if rise < LEAST_RISE {
        return Err(NoHint::Steady);
    }
    if !line.is_credible(&medians, rise) {
        return Err(NoHint::Unclear);
    }
    let left = 1000.0 * of.saturating_sub(used) as f64 / of as f64;
    let days = |slope: f64| left / (slope * f64::from(NEEDED_HOURS));
    if days(line.slope) > HORIZON_DAYS {
        return Err(NoHint::Far);
    }
    Ok(Filling {
        volume: None,
        used,
        of,
        per_day: (rise * of as f64 / 1000.0) as u64,
        days: days(line.slope) as u32,
        earliest: days(line.high) as u32,
        latest: days(line.low) as u32,
        window,
    })
}

/// Returns each hour of the window with the median of its known points. An hour that is more than half gaps
/// is left out.
pub(super) fn medians(day: &Series) -> Vec<(f64, f64)> {
    let hours = day.points.chunks(PER_HOUR).enumerate();
    let median = |(hour, points): (usize, &[model::history::Point])| {
        let mut known: Vec<f64> = points.iter().filter_map(|point| point.tenths()).map(f64::from).collect();
        (known.len() * 2 >= PER_HOUR).then(|| (hour as f64, median(&mut known)))
    };
    hours.filter_map(median).collect()
}

/// Returns the median of at least one value.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The slope in tenths of a percent per hour, with the bounds of Sen's 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub slope: f64,
    pub low: f64,
    pub high: f64,
}

impl Line {
    pub fn through(points: &[(f64, f64)]) -> Self {
        let mut slopes = slopes(points);
        let slope = median(&mut slopes);
        let (count, pairs) = (points.len() as f64, slopes.len() as f64);
        // Kendall's variance of the number of rising pairs, without ties; ties make it smaller.
        let spread = Z_95 * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
        let at = |rank: f64| slopes[(rank.max(0.0) as usize).min(slopes.len() - 1)];
        Self { slope, low: at(((pairs - spread) / 2.0).floor()), high: at(((pairs + spread) / 2.0).ceil()) }
    }

    /// Whether the line certainly rises, the points lie close to it, the growth has not ended, and the bounds
    /// are narrow enough.
    pub fn is_credible(&self, points: &[(f64, f64)], rise: f64) -> bool {
        let at_zero: Vec<f64> = points.iter().map(|(x, y)| y - self.slope * x).collect();
        // A copy, because `median` sorts its values, and the newest has to stay last.
        let base = median(&mut at_zero.clone());
        let mut off: Vec<f64> = at_zero.iter().map(|own| (own - base).abs()).collect();
        let newest = off.last().copied().unwrap_or_default();
        let last = &points[points.len() * 2 / 3..];
        self.low > 0.0
            && self.slope <= self.low * MOST_SLOPE
            && newest <= (2.0 * SCATTER).max(rise * NEWEST_OFF)
            && median(&mut off) <= SCATTER.max(rise * SCATTER_OF_RISE)
            && median(&mut slopes(last)) >= self.slope * LEAST_RECENT_SLOPE
    }
}

/// Returns the slope of each pair of points.
fn slopes(points: &[(f64, f64)]) -> Vec<f64> {
    let pairs = points.iter().enumerate().flat_map(|(n, a)| points[n + 1..].iter().map(move |b| (a, b)));
    pairs.map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect()
}

/// Returns one page of the findings.
pub fn page(
    visible: &Visible,
    findings: &Findings,
    identity: &Identity,
    query: &InsightQuery,
    now: Millis,
) -> InsightsView {
    let of_scope = || findings.of(visible.scope());
    // Findings do not know where their VMs are.
    let names = || on_node(visible, &query.node).map(|vm| vm.summary.key()).collect();
    let on_node: Option<HashSet<_>> = (!query.node.is_empty()).then(names);
    let is_there = |row: &&Insight| on_node.as_ref().is_none_or(|names| names.contains(&row.key()));
    let mut rows: Vec<&Insight> = of_scope().filter(|row| matches(row, query)).filter(is_there).collect();
    rows.sort_by(|a, b| order(a, b, query));
    let pages = (rows.len() as u32).div_ceil(PAGE_SIZE).max(1);
    let page = query.page.clamp(1, pages);
    let mut namespaces: Vec<String> = of_scope().map(|row| row.namespace.clone()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    InsightsView {
        frame: frame(visible, identity, now),
        query: InsightQuery { page, ..query.clone() },
        totals: findings.totals(visible.scope()),
        computed_at: findings.at,
        needed_hours: NEEDED_HOURS,
        matching: rows.len() as u32,
        pages,
        rows: rows
            .into_iter()
            .skip(((page - 1) * PAGE_SIZE) as usize)
            .take(PAGE_SIZE as usize)
            .cloned()
            .collect(),
        namespaces,
    }
}

fn matches(row: &Insight, query: &InsightQuery) -> bool {
    query.kind.is_none_or(|kind| row.finding.kind() == kind)
        && query.resource.is_none_or(|resource| row.finding.resource() == resource)
        && (query.namespace.is_empty() || row.namespace == query.namespace)
}

/// Rows without the figure that is sorted by come last in either order; equal rows are sorted by name.
fn order(a: &Insight, b: &Insight, query: &InsightQuery) -> std::cmp::Ordering {
    let by = |order: Order, key: fn(&Finding) -> u64| order.apply(key(&a.finding).cmp(&key(&b.finding)));
    let has = |has: fn(&Finding) -> bool| has(&b.finding).cmp(&has(&a.finding));
    let sorted = match query.sort {
        InsightSort::Urgency => query.order.apply(urgency(&a.finding).cmp(&urgency(&b.finding))),
        InsightSort::Name => query.order.apply(a.name.cmp(&b.name)),
        InsightSort::Usage => by(query.order, Finding::tenths),
        InsightSort::Reclaimable => has(|finding| finding.reclaimable() > 0)
            .then(has(|finding| finding.resource() == Resource::Memory))
            .then(by(query.order, Finding::reclaimable)),
        InsightSort::Days => has(|finding| finding.days().is_some())
            .then(by(query.order, |finding| finding.days().unwrap_or_default().into())),
    };
    let tail = |row: &Insight| (row.name.clone(), row.namespace.clone(), row.finding.resource().code());
    sorted.then_with(|| tail(a).cmp(&tail(b)))
}

/// Returns the sort key: the kind, and within it fewest days, highest use, lowest use.
fn urgency(finding: &Finding) -> (FindingKind, u64) {
    let within = match finding {
        Finding::FillingUp(filling) => filling.days.into(),
        Finding::Undersized(sizing) => u64::MAX - sizing.tenths(),
        Finding::Oversized(sizing) => sizing.tenths(),
    };
    (finding.kind(), within)
}
