//! The insights page: which disks fill up, which VMs are undersized or oversized, and how much is
//! reclaimable.

use leptos::{
    either::{Either, EitherOf3},
    ev::SubmitEvent,
    prelude::*,
};
use leptos_router::{LazyRoute, NavigateOptions, lazy_route};
use web_sys::FormData;

use super::{loading, missing::bad_query};
use crate::{
    server_fns::respond_with,
    ui::{
        address::{self, use_go, use_query},
        chart::{
            axis::clock,
            hint::{advice, amount, full_in, uses, window_words},
        },
        components::{
            card::vm_address,
            filters::{Options, orders, select},
            meter::bar,
            pager::pagination,
            sort_head::sort_head,
            title::title,
        },
        feed::Feed,
        ready::ready,
        words,
    },
};
use i18n::{key, t, text};
use model::{
    figure::Unit,
    format,
    insight::{Finding, FindingKind, Insight, InsightQuery, InsightSort, InsightTotals, Resource},
    message::Key,
    query::Order,
    view::InsightsView,
};

pub struct InsightsRoute;

#[lazy_route]
impl LazyRoute for InsightsRoute {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
        let query = use_query(InsightQuery::of_address);
        if query.with_untracked(Result::is_err) {
            respond_with(400);
        }
        let feed = Feed::<InsightsView>::follow(move || query.get().ok());
        let class = move || if feed.connection.waiting.get() { "insights busy" } else { "insights" };
        ready(view! {
            {title(|| t!(insights.page_title).to_owned())}
            {move || match query.get() {
                Err(bad) => EitherOf3::A(bad_query(bad)),
                Ok(_) => {
                    match feed.draw(page) {
                        Some(page) => EitherOf3::B(view! { <div class=class>{page}</div> }),
                        None => EitherOf3::C(loading(feed.connection.failed)),
                    }
                }
            }}
        })
        .into_any()
    }
}

fn page(view: &InsightsView) -> impl IntoView + use<> {
    let content = match NoFindings::of(view) {
        Some(none) => Either::Left(none.draw()),
        None => Either::Right((list(view), pager(view))),
    };
    view! {
        <div class="head">
            <h1>{t!(insights.title)}</h1>
            <p class="small">{basis(view)}</p>
        </div>
        {(view.totals.judged > 0).then(|| totals(&view.totals, view.query.kind))}
        {(view.totals.judged > 0).then(|| view! { <Filters view /> })}
        {content}
        {rules(view.needed_hours)}
    }
}

/// Example: `Based on the history of 41 of 44 running VMs, updated 09:12 UTC.`
fn basis(view: &InsightsView) -> Option<String> {
    let at = clock(view.computed_at?);
    let [some, all] = [view.totals.judged, view.totals.running].map(|count| format::grouped(count.into()));
    Some(t!(insights.basis, at = at, some = some, all = all))
}

/// Why the list is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoFindings {
    title: &'static str,
    text: String,
    /// Whether the filters are the reason.
    filtered: bool,
}

impl NoFindings {
    fn of(view: &InsightsView) -> Option<Self> {
        let because = |title, text: String, filtered| Some(Self { title, text, filtered });
        let InsightQuery { kind, resource, namespace, node, .. } = &view.query;
        let filtered =
            kind.is_some() || resource.is_some() || [namespace, node].iter().any(|name| !name.is_empty());
        match view.matching {
            _ if view.computed_at.is_none() => {
                because(t!(insights.not_analysed), t!(insights.not_analysed_why).to_owned(), false)
            }
            _ if view.totals.judged == 0 => because(
                t!(insights.too_short),
                t!(insights.too_short_why, hours = view.needed_hours.to_string()),
                false,
            ),
            0 if filtered => because(t!(insights.no_match), String::new(), true),
            0 => because(t!(insights.none), t!(insights.none_why).to_owned(), false),
            _ => None,
        }
    }

    fn draw(self) -> impl IntoView {
        view! {
            <div class="empty">
                <p>
                    <b>{self.title}</b>
                    " "
                    {self.text}
                </p>
                {self.filtered.then(|| view! { <p><a href=address::at("/insights")>{t!(insights.clear)}</a></p> })}
            </div>
        }
    }
}

/// The reclaimable amounts come first; the counts are links that filter the list.
fn totals(totals: &InsightTotals, chosen: Option<FindingKind>) -> impl IntoView + use<> {
    let memory = format::total_bytes(totals.memory);
    view! {
        <section class="summary" aria-labelledby="totals">
            <h2 class="vh" id="totals">
                {t!(insights.reclaimable_title)}
            </h2>
            {total("lead", t!(insights.reclaimable_memory), memory.digits, memory.unit, totals.memory_vms)}
            {total("", t!(insights.reclaimable_cpu), format::allocation(Unit::Nanocores, totals.cpu), "vCPU", totals.cpu_vms)}
            <ul class="counts" aria-label=t!(insights.by_kind)>
                {count(None, totals.filling_up + totals.undersized + totals.oversized, chosen)}
                {count(Some(FindingKind::FillingUp), totals.filling_up, chosen)}
                {count(Some(FindingKind::Undersized), totals.undersized, chosen)}
                {count(Some(FindingKind::Oversized), totals.oversized, chosen)}
            </ul>
        </section>
    }
}

fn total(
    class: &'static str,
    label: &'static str,
    digits: String,
    unit: &'static str,
    vms: u32,
) -> impl IntoView {
    view! {
        <section class=class>
            <h3>{label}</h3>
            <p class="amount">
                <b>{digits}</b>
                " "
                {unit}
            </p>
            <p class="sub">{t!(insights.by, vms = words::vms(vms))}</p>
        </section>
    }
}

fn count(kind: Option<FindingKind>, count: u32, chosen: Option<FindingKind>) -> impl IntoView {
    let query = InsightQuery { kind, ..InsightQuery::default() };
    view! {
        <li class=if count == 0 { "zero" } else { "" }>
            <a
                href=address::insights(&query)
                aria-current=(kind == chosen).then_some("true")
            >
                <span>{kind.map_or_else(|| t!(insights.all), kind_word)}</span>
                <b>{format::grouped(count.into())}</b>
            </a>
        </li>
    }
}

fn kind_word(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::FillingUp => t!(insights.filling_up),
        FindingKind::Undersized => t!(insights.undersized),
        FindingKind::Oversized => t!(insights.oversized),
    }
}

fn resource_word(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => t!(figure.cpu),
        Resource::Memory => t!(figure.memory),
        Resource::Disk => t!(figure.disk),
    }
}

#[component]
fn Filters<'a>(view: &'a InsightsView) -> impl IntoView + use<> {
    let go = use_go();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let fields = FormData::new_with_form(&event_target(&event)).ok();
        let query = InsightQuery::parse(|field| fields.as_ref()?.get(field).as_string()).unwrap_or_default();
        let options = NavigateOptions { scroll: false, ..NavigateOptions::default() };
        go(&address::insights(&query), options);
    };
    let query = &view.query;
    let order = if query.order == query.sort.default_order() { "" } else { query.order.code() };
    view! {
        <form class="filters" action=address::at("/insights") autocomplete="off" on:submit=submit>
            <h2>
                {t!(insights.list)} " " <small role="status">{words::range(query.page, view.matching)}</small>
            </h2>
            {select(t!(insights.kind), "kind", kinds(), query.kind.map_or("", FindingKind::code))}
            {select(t!(insights.resource), "resource", resources(), query.resource.map_or("", Resource::code))}
            {select(t!(list.namespace), "namespace", named(&view.namespaces), &query.namespace)}
            {(!query.node.is_empty())
                .then(|| select(t!(list.node), "node", named(std::slice::from_ref(&query.node)), &query.node))}
            {select(t!(list.sort), "sort", sorts(), query.sort.code())}
            {select(t!(list.order), "order", orders(), order)}
            <button class="button">{t!(list.apply)}</button>
        </form>
    }
}

fn any() -> Options {
    vec![(String::new(), t!(list.all).to_owned())]
}

fn named(names: &[String]) -> Options {
    let mut options = any();
    options.extend(names.iter().map(|name| (name.clone(), name.clone())));
    options
}

fn kinds() -> Options {
    let mut options = any();
    options.extend(FindingKind::ALL.map(|kind| (kind.code().to_owned(), kind_word(kind).to_owned())));
    options
}

fn resources() -> Options {
    let mut options = any();
    options.extend(
        Resource::ALL.map(|resource| (resource.code().to_owned(), resource_word(resource).to_owned())),
    );
    options
}

fn sort_word(sort: InsightSort) -> &'static str {
    match sort {
        InsightSort::Urgency => t!(insights.urgency),
        InsightSort::Name => t!(list.name),
        InsightSort::Usage => t!(insights.usage),
        InsightSort::Reclaimable => t!(insights.reclaimable),
        InsightSort::Days => t!(insights.days),
    }
}

fn sorts() -> Options {
    InsightSort::ALL.map(|sort| (sort.code().to_owned(), sort_word(sort).to_owned())).to_vec()
}

const COLUMNS: [(Key, Option<InsightSort>, bool); 6] = [
    (key!(insights.vm), Some(InsightSort::Name), false),
    (key!(insights.kind), Some(InsightSort::Urgency), false),
    (key!(insights.used), Some(InsightSort::Usage), false),
    (key!(insights.observed), Some(InsightSort::Days), false),
    (key!(insights.reclaimable), Some(InsightSort::Reclaimable), true),
    (key!(insights.window), None, false),
];

fn list(view: &InsightsView) -> impl IntoView + use<> {
    let heads: Vec<_> = COLUMNS.iter().map(|column| head(*column, &view.query)).collect();
    let rows: Vec<_> = view.rows.iter().map(row).collect();
    view! {
        <table class="sheet findings" role="table">
            <caption class="vh">{t!(insights.list)}</caption>
            <thead role="rowgroup">
                <tr role="row">{heads}</tr>
            </thead>
            <tbody role="rowgroup">{rows}</tbody>
        </table>
    }
}

/// The heading of a column. A click on the current sort column reverses the order.
fn head(
    (name, sort, number): (Key, Option<InsightSort>, bool),
    query: &InsightQuery,
) -> impl IntoView + use<> {
    let sorted = (sort == Some(query.sort)).then_some(query.order);
    let address = sort.map(|sort| {
        let order = sorted.map_or(sort.default_order(), Order::other);
        let query = InsightQuery { sort, order, page: 1, ..query.clone() };
        address::insights(&query)
    });
    sort_head(text(name), if number { "num" } else { "" }.to_owned(), sorted, address)
}

fn row(insight: &Insight) -> impl IntoView + use<> {
    let finding = &insight.finding;
    let (observed, window) = match finding {
        Finding::FillingUp(filling) => (full_in(filling), filling.window),
        Finding::Undersized(sizing) => (uses(sizing), sizing.window),
        Finding::Oversized(sizing) => ([uses(sizing), advice(sizing)].join(" "), sizing.window),
    };
    let reclaimable = finding.sizing().filter(|_| finding.reclaimable() > 0);
    let reclaimable = reclaimable.map(|sizing| amount(sizing.unit, finding.reclaimable()));
    let none = reclaimable.is_none();
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <a href=vm_address(&insight.namespace, &insight.name)>{insight.name.clone()}</a>
                <small>{insight.namespace.clone()}</small>
            </th>
            <td role="cell" data-th=text(COLUMNS[1].0)>
                {kind_word(finding.kind())}
                <small>{resource_word(finding.resource())}</small>
            </td>
            <td role="cell" class="full" data-th=text(COLUMNS[2].0)>
                {used(finding)}
            </td>
            <td role="cell" class="full" data-th=text(COLUMNS[3].0)>
                {observed}
            </td>
            <td role="cell" class=if none { "num none" } else { "num" } data-th=text(COLUMNS[4].0)>
                {reclaimable.unwrap_or_else(|| "–".to_owned())}
            </td>
            <td role="cell" class="small" data-th=text(COLUMNS[5].0)>
                {window_words(&window)}
            </td>
        </tr>
    }
}

fn used(finding: &Finding) -> impl IntoView + use<> {
    let percent = finding.tenths() / 10;
    let level = match percent {
        101.. => "meter over",
        90.. => "meter hot",
        _ => "meter",
    };
    view! {
        <div class=level>
            {bar(Some(percent))} <span class="pct">{words::percent(percent)}</span>
        </div>
    }
}

fn pager(view: &InsightsView) -> Option<impl IntoView + use<>> {
    let query = &view.query;
    let address = |page| address::insights(&InsightQuery { page, ..query.clone() });
    pagination(query.page, view.pages, view.matching, &address)
}

/// Explains how findings are computed, so that nobody has to guess what a number is based on.
fn rules(hours: u32) -> impl IntoView {
    let rules = [
        (FindingKind::FillingUp, t!(insights.rule_filling_up)),
        (FindingKind::Undersized, t!(insights.rule_undersized)),
        (FindingKind::Oversized, t!(insights.rule_over)),
    ];
    let rule = |(kind, text)| {
        view! {
            <div>
                <dt>{kind_word(kind)}</dt>
                <dd>{text}</dd>
            </div>
        }
    };
    view! {
        <h2>{t!(insights.rules)}</h2>
        <p class="small">{t!(insights.rules_all, hours = hours.to_string())}</p>
        <dl class="facts rules">{rules.map(rule)}</dl>
    }
}
