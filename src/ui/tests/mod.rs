//! Whole pages, rendered as the server renders them, from a snapshot made by hand.

mod chinese;
mod groups;
mod history;
mod home;
mod node;
mod pages;
mod sample;
mod vm;

use std::sync::Arc;

use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::ServerMetaContext;
use leptos_router::location::RequestUrl;
use sample::NOW;
use tokio::sync::watch;

use crate::{
    app::{Bundle, shell},
    server::http::{page_data::RequestViews, reader::Reader},
    server_fns::PageData,
};
use i18n::Lang;
use model::{
    figure::Figure,
    reason::Reason,
    source::{SourceHealth, SourceState},
    totals::Totals,
    vm::Vm,
};
use wukong_core::{Scope, Snapshot, frame::Identity};

struct Page {
    status: u16,
    html: String,
}

impl Page {
    /// The HTML from the first `from` to the next `to`.
    fn part(&self, from: &str, to: &str) -> &str {
        let start = self.html.find(from).unwrap_or_else(|| panic!("no {from} in {}", self.html));
        let end = self.html[start..].find(to).map_or(self.html.len(), |end| start + end);
        &self.html[start..end]
    }

    fn card(&self, name: &str) -> &str {
        self.part(&format!("aria-labelledby=\"{name}\""), "</article>")
    }

    /// The text of the page without tags and comments, blanks joined.
    fn text(&self) -> String {
        text(&self.html)
    }
}

fn text(html: &str) -> String {
    let mut out = String::new();
    for piece in html.split('<') {
        out.push_str(piece.split_once('>').map_or("", |(_, text)| text));
        out.push(' ');
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn snapshot(vms: Vec<Vm>, sources: Vec<SourceHealth>) -> Snapshot {
    Snapshot {
        totals: Totals::of(&vms),
        vms: vms.into_iter().map(Arc::new).collect(),
        sources,
        at: NOW,
        last_seen: Some(NOW - 3_000),
        ready: true,
        ..Snapshot::default()
    }
}

fn render(url: &str, snapshot: Snapshot) -> Page {
    render_in(url, Some(snapshot), Bundle { css: "/pkg/0/app.css".into(), ..Bundle::default() })
}

fn render_in(url: &str, snapshot: Option<Snapshot>, bundle: Bundle) -> Page {
    render_with(url, snapshot.map(reader), bundle, Lang::English)
}

fn render_as(url: &str, snapshot: Option<Snapshot>, bundle: Bundle, lang: Lang) -> Page {
    render_with(url, snapshot.map(reader), bundle, lang)
}

fn reader(snapshot: Snapshot) -> Reader {
    let (_sender, receiver) = watch::channel(Arc::new(snapshot));
    let identity = Identity { cluster: "prod-hz-1".into(), demo: false, refresh: 15_000 };
    Reader::new(receiver, identity, || NOW)
}

fn render_with(url: &str, reader: Option<Reader>, bundle: Bundle, lang: Lang) -> Page {
    render_for(Scope::all(), url, reader, bundle, lang)
}

fn render_for(scope: Scope, url: &str, reader: Option<Reader>, bundle: Bundle, lang: Lang) -> Page {
    let response = ResponseOptions::default();
    let html = Owner::new().with(|| {
        if let Some(reader) = reader {
            provide_context::<Arc<dyn PageData>>(Arc::new(RequestViews::new(reader, scope, lang)));
        }
        provide_context(lang);
        provide_context(RequestUrl::new(url));
        provide_context(response.clone());
        provide_context(ServerMetaContext::new().0);
        shell(bundle).to_html()
    });
    let status = response.0.read().unwrap().status.map_or(200, |status| status.as_u16());
    Page { status, html }
}

fn chinese(url: &str, snapshot: Snapshot) -> Page {
    render_as(url, Some(snapshot), Bundle::default(), Lang::Chinese)
}

fn home() -> Page {
    render("/", snapshot(sample::vms(), sample::sources()))
}
