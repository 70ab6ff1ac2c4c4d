//! What the guest does and how its volumes fill, as strips over the time axis of the charts above them. Each strip is on
//! the scale of its own data, and has one or two lines. Strips have no cursor: each says its newest and highest amount.

use leptos::prelude::*;

use super::{
    axis, path,
    scale::{HEIGHT, Measure, Scale},
    words,
};
use i18n::t;
use model::{
    Millis,
    activity_history::{ActivityFigure, AmountHistory},
    history::{History, Span},
};

/// Milliseconds after which the newest point says nothing about now: guest agents report every 5 minutes.
const OLDEST_CURRENT: Millis = 600_000;

/// The time that all strips cover.
#[derive(Clone, Copy)]
struct Window {
    span: Span,
    start: Millis,
    end: Millis,
}

/// One strip. A line without a name is the only one.
struct Strip<'a> {
    name: String,
    measure: Measure,
    lines: Vec<(&'static str, &'a AmountHistory)>,
}

/// The strips of all figures that have a sample in this span, or a sentence that there are none.
pub fn strips(history: &History) -> impl IntoView + use<> {
    let end = history.cpu.at(history.cpu.points.len().saturating_sub(1));
    let window = Window { span: history.span, start: history.cpu.start, end };
    let drawn: Vec<_> = all(history).into_iter().filter_map(|strip| draw(&strip, window)).collect();
    let note = if drawn.is_empty() {
        t!(chart.no_strips, span = words::span(window.span))
    } else {
        t!(chart.strips_note).to_owned()
    };
    let time = (!drawn.is_empty()).then(|| time_axis(window));
    view! {
        <h3>{t!(chart.strips)}</h3>
        <div class="strips">{drawn} {time}</div>
        <p class="small">{note}</p>
    }
}

fn all(history: &History) -> Vec<Strip<'_>> {
    let of = |figure: ActivityFigure| &history.activity[figure as usize];
    let two = |name: &str, measure, [(a, first), (b, second)]: [(&'static str, ActivityFigure); 2]| Strip {
        name: name.to_owned(),
        measure,
        lines: vec![(a, of(first)), (b, of(second))],
    };
    let one = |name: String, measure, line| Strip { name, measure, lines: vec![("", line)] };
    let (read, write) = (t!(chart.read), t!(chart.write));
    let mut strips = vec![
        two(
            t!(list.network),
            Measure::Speed,
            [
                (t!(chart.receive), ActivityFigure::NetworkReceive),
                (t!(chart.transmit), ActivityFigure::NetworkTransmit),
            ],
        ),
        two(
            t!(list.storage),
            Measure::Speed,
            [(read, ActivityFigure::StorageRead), (write, ActivityFigure::StorageWrite)],
        ),
        two(
            t!(list.latency),
            Measure::Latency,
            [(read, ActivityFigure::ReadLatency), (write, ActivityFigure::WriteLatency)],
        ),
        one(t!(vm.contention).to_owned(), Measure::Percent, of(ActivityFigure::Contention)),
        one(t!(list.guest_memory).to_owned(), Measure::Bytes, of(ActivityFigure::GuestMemory)),
    ];
    let volumes = history.volumes.iter();
    strips.extend(
        volumes.map(|volume| one(t!(chart.volume, name = volume.name), Measure::Filling, &volume.used)),
    );
    strips
}

/// Returns `None` if nothing of the strip is known.
fn draw(strip: &Strip<'_>, window: Window) -> Option<impl IntoView + use<>> {
    let lines: Vec<String> =
        strip.lines.iter().map(|(name, line)| reading(name, strip.measure, line)).collect();
    if strip.lines.iter().all(|(_, line)| line.series.stats().is_none()) {
        return None;
    }
    let label = description(&strip.name, window.span, &lines);
    Some(view! {
        <section class="strip">
            <div>
                <h4>{strip.name.clone()}</h4>
                {lines.into_iter().enumerate().map(line_text).collect::<Vec<_>>()}
            </div>
            {plot(strip, window, label)}
        </section>
    })
}

/// The amounts of a line, after its colour.
fn line_text((index, text): (usize, String)) -> impl IntoView {
    let key = if index == 0 { "key" } else { "key second" };
    view! {
        <p>
            <span class=key></span>
            {text}
        </p>
    }
}

/// Example: `in 6.1 MB/s, p95 8.2 MB/s, max 9.0 MB/s`. The first amount is of now, or `no sample`.
fn reading(name: &str, measure: Measure, line: &AmountHistory) -> String {
    let text = match line.series.stats() {
        Some(stats) => {
            let newest =
                current(line).map_or_else(|| t!(chart.no_sample).to_owned(), |now| measure.text(now));
            let [p95, max] = [stats.p95, stats.max].map(|amount| measure.text(amount));
            t!(chart.strip_line, newest = newest, p95 = p95, max = max)
        }
        None => t!(chart.no_samples).to_owned(),
    };
    if name.is_empty() { text } else { [name, " ", &text].concat() }
}

/// Returns the newest amount, if it is not older than samples may be.
fn current(line: &AmountHistory) -> Option<u64> {
    let recent = (OLDEST_CURRENT / Millis::from(line.series.step).max(1)).max(1) as usize;
    line.series.points.iter().rev().take(recent + 1).find_map(|point| point.amount())
}

fn description(name: &str, span: Span, lines: &[String]) -> String {
    t!(
        chart.strip_description,
        name = name,
        span = words::span(span),
        lines = lines.join(t!(chart.strip_between))
    )
}

fn plot(strip: &Strip<'_>, window: Window, label: String) -> impl IntoView + use<> {
    let scale = scale(strip);
    let lines: Vec<_> = strip.lines.iter().map(|(_, line)| line_of(line, scale, window)).collect();
    let gaps = path::bands(&path::gaps(&known(&lines)), HEIGHT);
    let drawn: Vec<_> = lines.iter().enumerate().map(|(index, line)| drawing(index, line, &gaps)).collect();
    let [top, middle, bottom] = [scale.top, scale.middle(), scale.bottom].map(|end| strip.measure.text(end));
    view! {
        <div class="plot">
            <svg role="img" aria-label=label>
                {drawn} <svg viewBox="0 0 1 2" preserveAspectRatio="none" aria-hidden="true">
                    <path class="grid" d="M0 0H1M0 1H1M0 2H1" />
                </svg> {axis_label(top, "0%")} {axis_label(middle, "50%")} {axis_label(bottom, "100%")}
            </svg>
        </div>
    }
}

fn axis_label(text: String, y: &'static str) -> impl IntoView {
    view! {
        <text x="-8" y=y dy="4" text-anchor="end">
            {text}
        </text>
    }
}

fn scale(strip: &Strip<'_>) -> Scale {
    let stats: Vec<_> = strip.lines.iter().filter_map(|(_, line)| line.series.stats()).collect();
    let min = stats.iter().map(|stats| stats.min).min().unwrap_or_default();
    let max = stats.iter().map(|stats| stats.max).max().unwrap_or_default();
    strip.measure.scale(min, max)
}

/// A line within the window: where it begins and how wide it is, in percent of the window, and its heights.
struct Line {
    x: String,
    width: String,
    heights: Vec<Option<i32>>,
}

/// Grids of another step may begin before the window; those points are left out.
fn line_of(line: &AmountHistory, scale: Scale, window: Window) -> Line {
    let series = &line.series;
    let before = (0..series.points.len()).take_while(|index| series.at(*index) < window.start).count();
    let points = series.points.iter().skip(before);
    let heights: Vec<_> = points.map(|point| point.amount().map(|amount| scale.height(amount))).collect();
    let length = (window.end - window.start).max(1);
    let share = |time: Millis| axis::percent(time.clamp(0, length) * 1000 / length);
    let width = Millis::from(series.step) * heights.len().saturating_sub(1) as Millis;
    Line { x: share(series.at(before) - window.start), width: share(width), heights }
}

/// A point is known if it is known of any line: without a read, there may have been a write.
fn known(lines: &[Line]) -> Vec<Option<i32>> {
    let is_known = |index: usize| lines.iter().find_map(|line| line.heights.get(index).copied().flatten());
    let count = lines.iter().map(|line| line.heights.len()).max().unwrap_or_default();
    (0..count).map(is_known).collect()
}

/// A line. The first one of a strip lies over the gaps of all of them.
fn drawing(index: usize, line: &Line, gaps: &str) -> impl IntoView + use<> {
    let last = line.heights.len().saturating_sub(1).max(1);
    let view_box = ["0 0 ", &last.to_string(), " ", &HEIGHT.to_string()].concat();
    let is_first = index == 0;
    let gaps = if is_first { gaps.to_owned() } else { String::new() };
    let [line_class, dots_class] = if is_first { ["line", "dots"] } else { ["line second", "dots second"] };
    view! {
        <svg
            x=line.x.clone()
            width=line.width.clone()
            viewBox=view_box
            preserveAspectRatio="none"
            aria-hidden="true"
        >
            <path class="gap" d=gaps />
            <path class=line_class d=path::line(&line.heights) />
            <path class=dots_class d=path::dots(&line.heights) />
        </svg>
    }
}

fn time_axis(window: Window) -> impl IntoView {
    let label = |tick: axis::Tick| {
        view! {
            <text x=tick.x y="12" text-anchor=tick.anchor>
                {tick.text}
            </text>
        }
    };
    let ticks: Vec<_> = axis::ticks(window.span, window.start, window.end).into_iter().map(label).collect();
    view! {
        <div class="strip time" aria-hidden="true">
            <div></div>
            <div class="plot">
                <svg>{ticks}</svg>
            </div>
        </div>
    }
}
