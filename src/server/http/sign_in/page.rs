//! The sign-in page. It is rendered on the server only, works without scripts, and is written by Leptos, which escapes
//! what it is given.

use axum::http::StatusCode;
use leptos::prelude::*;

use super::SIGN_IN;
use crate::app::Bundle;
use i18n::{Lang, Render, key, msg, text_in};
use model::message::Message;
use wukong_core::observation::SourceError;

/// What the page says beside the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Ended,
    SignedOut,
    NoToken,
    Rejected,
    /// The session of this token does not fit into cookies.
    TooLong,
    TooMany,
    Unanswered(SourceError),
    /// The session would travel over plain HTTP.
    Unprotected,
}

impl Notice {
    /// Returns the status of an answer to a form that could not sign anybody in.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Ended | Self::SignedOut => StatusCode::OK,
            Self::NoToken | Self::TooLong | Self::Unprotected => StatusCode::BAD_REQUEST,
            Self::Rejected => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unanswered(_) => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::Unanswered(error) => msg!(sign_in.unanswered, why = error.detail.clone()),
            Self::Unprotected => msg!(sign_in.unprotected),
        }
    }

    /// Returns whether the token is what is wrong.
    fn is_about_token(&self) -> bool {
        matches!(self, Self::NoToken | Self::Rejected | Self::TooLong)
    }
}

pub struct Page {
    pub cluster: String,
    pub notice: Option<Notice>,
    /// The checked path to go to afterwards.
    pub next: String,
}

impl Page {
    pub fn html(self, bundle: &Bundle, lang: Lang) -> String {
        let Self { cluster, notice, next } = self;
        let text = move |key| text_in(lang, key);
        let title = msg!(sign_in.title, cluster = cluster).render(lang);
        let wrong = notice.as_ref().is_some_and(Notice::is_about_token);
        let notice = notice.map(|notice| {
            let class = if wrong { "small crit" } else { "small" };
            view! { <p class=class id="notice" role="status">{notice.message().render(lang)}</p> }
        });
        let page = view! {
            <html lang=lang.tag()>
                <head>
                    <meta charset="utf-8" />
                    <meta name="viewport" content="width=device-width, initial-scale=1" />
                    <meta name="color-scheme" content="light dark" />
                    <title>{title.clone()}</title>
                    <link rel="icon" type="image/svg+xml" href=bundle.public("favicon.svg") />
                    <link rel="stylesheet" href=bundle.css.clone() />
                    <link rel="stylesheet" href=bundle.public("later.css") />
                    <script src=bundle.public("theme.js")></script>
                </head>
                <body>
                    <main id="main" class="gate">
                        <section class="signin" aria-labelledby="title">
                            <p class="brand">"wukong-dashboard"</p>
                            <h1 id="title">{title.clone()}</h1>
                            <p class="muted">{text(key!(sign_in.about))}</p>
                            <form action=SIGN_IN method="post">
                                <input type="hidden" name="next" value=next />
                                <label>
                                    {text(key!(sign_in.token))}
                                    <input
                                        class="field"
                                        type="password"
                                        name="token"
                                        autocomplete="current-password"
                                        required
                                        aria-invalid=wrong.then_some("true")
                                        aria-describedby=wrong.then_some("notice")
                                    />
                                </label>
                                {notice}
                                <button class="button main">{text(key!(sign_in.submit))}</button>
                            </form>
                            <details>
                                <summary>{text(key!(sign_in.how))}</summary>
                                <pre>
                                    <code>"kubectl create token NAME --audience wukong-dashboard"</code>
                                </pre>
                                <p class="small">{text(key!(sign_in.how_text))}</p>
                            </details>
                        </section>
                    </main>
                </body>
            </html>
        };
        ["<!DOCTYPE html>", &page.to_html()].concat()
    }
}
