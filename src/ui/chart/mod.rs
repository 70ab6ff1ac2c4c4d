//! The history of a VM's figures: three charts over the same time span, which share one cursor.
//!
//! The charts are plain SVG in Leptos. Existing chart libraries do not fit: leptos-chartistry writes inline
//! styles, which the page's content security policy refuses, and brings chrono and float formatting (20 kB
//! and more in the browser); plotters draws floats and is not hydrated; charming is a megabyte of JavaScript.

pub mod axis;
pub mod hint;
pub mod history;
mod path;
mod plot;
mod scale;
pub mod sparkline;
mod strips;
pub mod words;

use std::sync::Arc;

use leptos::prelude::*;

use hint::Hint;
use i18n::t;
use model::{
    history::{Series, Span},
    view::VmHistory,
};
pub use plot::Cursor;
use plot::{Chart, newest, plot};

/// The texts that say what 100 % means for CPU, memory and disk, in this order.
pub type ScaleLabels = [String; 3];

pub fn charts(vm_history: &VmHistory, labels: Memo<ScaleLabels>, cursor: Cursor) -> impl IntoView + use<> {
    let VmHistory { history, hints } = vm_history;
    let one = |index: usize, name, series: &Series, hint| {
        let scale_label = Signal::derive(move || labels.with(|labels| labels[index].clone()));
        let series = Arc::new(series.clone());
        draw(Chart { name, span: history.span, series, scale_label, cursor }, hint)
    };
    view! {
        <div class="charts">
            {one(0, t!(figure.cpu), &history.cpu, hint::sizing(&hints.cpu))}
            {one(1, t!(figure.memory), &history.memory, hint::sizing(&hints.memory))}
            {one(2, t!(figure.disk), &history.disk, hint::filling(&hints.disk))}
        </div>
    }
}

fn draw(chart: Chart, hint: Hint) -> impl IntoView {
    let caption = words::caption(chart.span, &chart.series);
    view! {
        <figure class="chart">
            <header>
                <h3>{chart.name}</h3>
                {readout(&chart)}
            </header>
            {plot(&chart)}
            {stats(&chart.series)}
            <figcaption class="small">{caption}</figcaption>
            {hint::hint(hint)}
        </figure>
    }
}

/// The text beside the chart's name: the point under the cursor, or the newest sample if there is no cursor.
/// Screen readers get the value from the cursor itself.
fn readout(chart: &Chart) -> impl IntoView + use<> {
    let (span, series, cursor) = (chart.span, chart.series.clone(), chart.cursor);
    let text = move || {
        let index = cursor.get().map_or(newest(&series), |at| plot::nearest(&series, at));
        words::reading(span, &series, index)
    };
    view! { <p class="readout">{text}</p> }
}

fn stats(series: &Series) -> Option<impl IntoView + use<>> {
    let item = |(name, value)| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    series.stats().map(|stats| {
        let items: Vec<_> = words::stats(&stats).into_iter().map(item).collect();
        view! { <dl class="stats">{items}</dl> }
    })
}

/// One link for each time span. The links work without JavaScript.
pub fn spans(chosen: Span, address: &str) -> impl IntoView + use<> {
    let link = |span: Span| {
        let href = if span == Span::default() {
            [address, "#history"].concat()
        } else {
            [address, "?span=", span.code(), "#history"].concat()
        };
        view! {
            <a href=href data-noscroll="" aria-current=(span == chosen).then_some("true")>
                {words::span_short(span)}
            </a>
        }
    };
    let links: Vec<_> = Span::ALL.into_iter().map(link).collect();
    view! {
        <nav class="seg" aria-label=t!(chart.spans)>
            {links}
        </nav>
    }
}
