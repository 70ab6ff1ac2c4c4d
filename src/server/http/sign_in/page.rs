//! The sign-in page. It is rendered on the server only and works without scripts. Leptos writes it, and escapes what it
//! is given.

use axum::http::StatusCode;
use leptos::prelude::*;

use super::paths::{OIDC_START, SIGN_IN};
use crate::{
    app::Bundle,
    ui::{
        address::BasePath,
        components::{
            icon::{Icon, icon, symbol},
            sprite::Sprite,
        },
    },
};
use i18n::{Lang, Render, key, msg, text_in};
use model::{markup::escape, message::Message, query::encode};

/// What the page says beside the form. It tells nobody anything of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Ended,
    SignedOut,
    NoToken,
    Rejected,
    /// The session of this token does not fit into cookies.
    TooLong,
    TooMany,
    Unanswered,
    /// The session would travel over plain HTTP.
    Unprotected,
    /// The answer of a provider belongs to no sign-in of this browser.
    Wrong(Message),
    /// The provider or its answer does not let this person in.
    Refused(Message),
    /// The provider cannot be used now.
    Away(Message),
}

impl Notice {
    /// Returns the status of an answer to a form that could not sign anybody in.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Ended | Self::SignedOut => StatusCode::OK,
            Self::NoToken | Self::TooLong | Self::Unprotected | Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::Rejected | Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unanswered | Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn message(&self) -> Message {
        match self {
            Self::Ended => msg!(sign_in.ended),
            Self::SignedOut => msg!(sign_in.signed_out),
            Self::NoToken => msg!(sign_in.no_token),
            Self::Rejected => msg!(sign_in.rejected),
            Self::TooLong => msg!(sign_in.too_long),
            Self::TooMany => msg!(sign_in.too_many),
            Self::Unanswered => msg!(sign_in.unanswered),
            Self::Unprotected => msg!(sign_in.unprotected),
            Self::Wrong(message) | Self::Refused(message) | Self::Away(message) => message.clone(),
        }
    }

    /// Returns the text for the log.
    pub fn english(&self) -> String {
        self.message().english()
    }

    /// Returns whether the token is what is wrong.
    fn is_about_token(&self) -> bool {
        matches!(self, Self::NoToken | Self::Rejected | Self::TooLong)
    }

    fn icon(&self) -> Icon {
        match self {
            Self::Ended => Icon::Clock,
            Self::SignedOut => Icon::Healthy,
            Self::NoToken | Self::Rejected | Self::TooLong | Self::Refused(_) => Icon::Error,
            Self::TooMany | Self::Unanswered | Self::Unprotected | Self::Wrong(_) | Self::Away(_) => {
                Icon::Warn
            }
        }
    }

    /// Returns the parameter of the page's address that shows the notice.
    fn parameter(&self) -> &'static str {
        match self {
            Self::Ended => "ended=&",
            Self::SignedOut => "signed-out=&",
            _ => "",
        }
    }
}

pub struct Page {
    pub base: BasePath,
    pub notice: Option<Notice>,
    /// Whether people can sign in by a Kubernetes token.
    pub takes_tokens: bool,
    /// The provider at which people can sign in.
    pub provider: Option<ProviderLink>,
    /// Whether people come through an authenticating proxy.
    pub has_proxy: bool,
    /// Where the browser goes to sign out there too.
    pub leave: Option<UpstreamSignOut>,
    /// The checked path to go to afterwards.
    pub next: String,
}

/// Where people sign out too.
pub struct UpstreamSignOut {
    pub url: String,
    pub host: String,
    /// At an authenticating proxy, rather than a provider.
    pub is_proxy: bool,
}

/// A provider as the page names it.
pub struct ProviderLink {
    pub host: String,
    /// Why it could not be used the last time.
    pub fault: Option<Message>,
}

impl Page {
    pub fn html(self, bundle: &Bundle, lang: Lang) -> String {
        let title = text_in(lang, key!(sign_in.title));
        let is_possible = self.notice != Some(Notice::Unprotected);
        let has_form = self.takes_tokens && is_possible;
        let wrong = self.notice.as_ref().filter(|notice| notice.is_about_token());
        let other = self.notice.as_ref().filter(|notice| !notice.is_about_token());
        let head = head(title, bundle, self.leave.as_ref().map(|leave| leave.url.as_str()));
        let has_retry = self.has_proxy && self.leave.is_none();
        let provider = self.provider.as_ref();
        let away = provider.and_then(|provider| provider.fault.clone());
        let away = away.filter(|_| !matches!(self.notice, Some(Notice::Away(_))));
        let away = away.map(|why| Notice::Away(msg!(sign_in.provider_away, why = why)));
        let body = view! {
            <body>
                <main id="main" class="gate">
                    <section class="sign-in" aria-labelledby="title">
                        <p class="brand">{icon(Icon::Brand)} "wukong-dashboard"</p>
                        <div>
                            <h1 id="title">{title}</h1>
                            <p class="muted">{text_in(lang, key!(sign_in.about))}</p>
                        </div>
                        {other.map(|notice| notice_box(notice, lang))}
                        {away.map(|notice| notice_box(&notice, lang))}
                        {self.leave.as_ref().map(|leave| leave_link(leave, lang))}
                        {has_retry.then(|| retry_link(&self, lang))}
                        {provider.filter(|_| is_possible).map(|at| provider_link(&self, at, lang))}
                        {has_form.then(|| form(&self, wrong, lang))}
                        {has_form.then(|| help(lang))}
                    </section>
                    {languages(&self, lang)}
                </main>
                <span id="announcement" class="vh" role="status"></span>
                <Sprite />
            </body>
        };
        [r#"<!DOCTYPE html><html lang=""#, lang.tag(), r#"">"#, &head, &body.to_html(), "</html>"].concat()
    }
}

/// Leptos would write a mark behind the text of the title.
fn head(title: &str, bundle: &Bundle, leave: Option<&str>) -> String {
    let leave = leave
        .map(|leave| [r#"<meta http-equiv="refresh" content="0; url="#, &escape(leave), r#"">"#].concat());
    format!(
        concat!(
            r#"<head><meta charset="utf-8">"#,
            r#"<meta name="viewport" content="width=device-width, initial-scale=1">"#,
            r#"<meta name="color-scheme" content="light dark"><title>{title} · wukong-dashboard</title>"#,
            r#"{leave}<link rel="icon" type="image/svg+xml" href="{icon}">"#,
            r#"<link rel="stylesheet" href="{css}"><link rel="stylesheet" href="{later}">"#,
            r#"<script src="{theme}"></script><script defer src="{keys}"></script></head>"#,
        ),
        title = escape(title),
        leave = leave.unwrap_or_default(),
        icon = bundle.public("favicon.svg"),
        css = bundle.css,
        later = bundle.public("later.css"),
        theme = bundle.public("theme.js"),
        keys = bundle.public("keys.js"),
    )
}

/// A notice that is not about the token.
fn notice_box(notice: &Notice, lang: Lang) -> impl IntoView + use<> {
    let class = if *notice == Notice::SignedOut { "notice calm" } else { "notice" };
    view! {
        <p class=class role="status">
            {icon(notice.icon())}
            <span>{notice.message().render(lang)}</span>
        </p>
    }
}

/// A link rather than a form: the page's policy lets no form lead to another site.
fn provider_link(page: &Page, provider: &ProviderLink, lang: Lang) -> impl IntoView + use<> {
    let mut href = [&*page.base.0, OIDC_START, "?next="].concat();
    encode(&mut href, &page.next);
    let text = msg!(sign_in.provider, host = provider.host.clone()).render(lang);
    view! {
        <a class="button main" href=href>
            {text}
        </a>
    }
}

/// Where the browser goes by itself in a moment.
fn leave_link(leave: &UpstreamSignOut, lang: Lang) -> impl IntoView + use<> {
    let host = leave.host.as_str();
    let text = if leave.is_proxy {
        msg!(sign_in.leave_proxy, host = host)
    } else {
        msg!(sign_in.leave, host = host)
    };
    view! {
        <p>
            <a href=leave.url.clone()>{text.render(lang)}</a>
        </p>
    }
}

/// Asks again, through the proxy if it is there by now.
fn retry_link(page: &Page, lang: Lang) -> impl IntoView + use<> {
    let href = [&*page.base.0, &page.next].concat();
    view! {
        <p>
            <a class="button" href=href>
                {text_in(lang, key!(sign_in.retry))}
            </a>
        </p>
    }
}

fn form(page: &Page, wrong: Option<&Notice>, lang: Lang) -> impl IntoView + use<> {
    // A sign-in at a provider comes first.
    let is_second = page.provider.is_some();
    let error = wrong.map(|notice| {
        view! {
            <p class="small crit" id="wrong">
                {icon(notice.icon())}
                " "
                {notice.message().render(lang)}
            </p>
        }
    });
    let is_wrong = error.is_some();
    view! {
        <form action=[&*page.base.0, SIGN_IN].concat() method="post">
            <input type="hidden" name="next" value=page.next.clone() />
            <label for="token">{text_in(lang, key!(sign_in.token))}</label>
            <span class=if is_wrong { "field wrong" } else { "field" }>
                {symbol("#i-key")}
                <input
                    id="token"
                    type="password"
                    name="token"
                    autocomplete="current-password"
                    required
                    autofocus=!is_second
                    aria-invalid=is_wrong.then_some("true")
                    aria-describedby=is_wrong.then_some("wrong")
                />
            </span>
            {error}
            <button class=if is_second { "button" } else { "button main" }>{text_in(lang, key!(sign_in.submit))}</button>
        </form>
    }
}

/// How to get a token. `public/keys.js` makes the button copy the command.
fn help(lang: Lang) -> impl IntoView {
    view! {
        <details>
            <summary>{text_in(lang, key!(sign_in.how))}</summary>
            <div class="command">
                <pre class="code">
                    <code>"kubectl create token NAME \\\n  --audience wukong-dashboard"</code>
                </pre>
                <button class="copy button" type="button" data-copied=text_in(lang, key!(why.copied))>
                    <span>{text_in(lang, key!(why.copy))}</span>
                </button>
            </div>
            <p class="small">{text_in(lang, key!(sign_in.how_text))}</p>
        </details>
    }
}

/// Links to this page in each language, which lead to the same place afterwards.
fn languages(page: &Page, lang: Lang) -> impl IntoView + use<> {
    let mut address =
        [&*page.base.0, SIGN_IN, "?", page.notice.as_ref().map_or("", Notice::parameter), "next="].concat();
    encode(&mut address, &page.next);
    let link = |of: Lang, name| {
        let href = [&address, "&lang=", of.tag()].concat();
        view! {
            <a href=href lang=of.tag() aria-current=(of == lang).then_some("true")>
                {text_in(lang, name)}
            </a>
        }
    };
    view! {
        <nav class="seg" aria-label=text_in(lang, key!(language.choose))>
            {link(Lang::English, key!(language.en))}
            {link(Lang::Chinese, key!(language.zh))}
        </nav>
    }
}
