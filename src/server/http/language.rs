//! Chooses the language of an answer for people: that of `?lang=`, which is then remembered in a cookie unless a page
//! of another site links to it,
//! else that of the cookie, else the browser's preference, else English. An unknown language counts as none,
//! so that links keep working. `layers` calls it.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use super::{address, fetch_metadata::is_of_another_site};
use crate::{server_fns::VIEW_COOKIE, ui::address::BasePath};
use i18n::Lang;
use model::{params::Params, query::ViewKind};

/// Name of the parameter and of the cookie.
const NAME: &str = "lang";
/// A year, in seconds.
const REMEMBERED: u32 = 365 * 24 * 60 * 60;
/// Most preferences that are read; a longer list is cut.
const MOST_PREFERENCES: usize = 32;

/// Puts the language into the request's extensions, and names it in the answer.
pub async fn choose(base: &BasePath, mut request: Request, next: Next) -> Response {
    let chosen = parameter(address::query(request.uri()));
    let lang = chosen.unwrap_or_else(|| of_headers(request.headers()));
    let links_from_another_site = is_of_another_site(request.headers());
    request.extensions_mut().insert(lang);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(lang.tag()));
    headers.append(header::VARY, HeaderValue::from_static("accept-language, cookie"));
    let kept = chosen.filter(|_| !links_from_another_site);
    if let Some(cookie) = kept.and_then(|lang| cookie_of(base, lang)) {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

fn of_headers(headers: &HeaderMap) -> Lang {
    cookie(headers).or_else(|| preferred(headers)).unwrap_or_default()
}

/// Returns the cookie. It is not secret; it is HttpOnly because no script needs it.
fn cookie_of(base: &BasePath, lang: Lang) -> Option<HeaderValue> {
    let (tag, base) = (lang.tag(), &base.0);
    let cookie = format!("{NAME}={tag}; Path={base}/; Max-Age={REMEMBERED}; SameSite=Lax; HttpOnly");
    HeaderValue::from_str(&cookie).ok()
}

fn parameter(query: &str) -> Option<Lang> {
    Lang::of_tag(&Params::parse(query).ok()?.get(NAME)?)
}

fn cookie(headers: &HeaderMap) -> Option<Lang> {
    cookies(headers, NAME).find_map(Lang::of_tag)
}

/// Returns the view of the list that the reader last chose, which the browser's cookie names. The first cookie of the name
/// counts, as in the browser (`server_fns::default_view`).
pub fn last_view(headers: &HeaderMap) -> ViewKind {
    cookies(headers, VIEW_COOKIE).next().and_then(ViewKind::of_code).unwrap_or_default()
}

/// Returns the values of all cookies of this name.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let cookies = texts(headers, header::COOKIE).flat_map(|cookies| cookies.split(';'));
    let pairs = cookies.filter_map(|cookie| cookie.trim().split_once('='));
    pairs.filter(move |(of, _)| *of == name).map(|(_, value)| value)
}

/// Returns the preferred language; of two with the same weight the first.
fn preferred(headers: &HeaderMap) -> Option<Lang> {
    let entries = texts(headers, header::ACCEPT_LANGUAGE).flat_map(|list| list.split(','));
    let known = entries.take(MOST_PREFERENCES).filter_map(|entry| {
        let (tag, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        Some((Lang::of_tag(tag.trim())?, weight(parameters)))
    });
    known
        .filter(|(_, weight)| *weight > 0)
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(lang, _)| lang)
}

/// Returns the weight in thousandths: 800 for `q=0.8`, 1000 if there is none, 0 if it cannot be parsed.
fn weight(parameters: &str) -> u32 {
    let parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let quality = parameters
        .map(|(name, value)| (name.trim(), value.trim()))
        .find(|(name, _)| name.eq_ignore_ascii_case("q"));
    quality.map_or(1000, |(_, value)| match value.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u32,
        _ => 0,
    })
}

fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_browser_says_what_is_preferred() {
        for (value, want) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Lang::Chinese)),
            ("en-GB,en;q=0.9,zh-CN;q=0.8", Some(Lang::English)),
            ("zh-Hans", Some(Lang::Chinese)),
            ("ZH", Some(Lang::Chinese)),
            // No better language is there for them, and this one is nearer than English.
            ("zh-TW, en;q=0.5", Some(Lang::Chinese)),
            ("de, fr;q=0.9, zh;q=0.2, en;q=0.1", Some(Lang::Chinese)),
            ("en;q=0.5, zh ; q=0.7", Some(Lang::Chinese)),
            ("zh;q=0, en;q=0.1", Some(Lang::English)),
            ("zh;q=2, en;q=0.1", Some(Lang::English)),
            ("zh;q=x", None),
            ("de-DE, fr", None),
            // Neither is a language tag that is known, although both begin like one.
            ("zho-x, english", None),
            ("*", None),
            ("", None),
            (",,;q=1,;", None),
        ] {
            assert_eq!(preferred(&headers(header::ACCEPT_LANGUAGE, value)), want, "{value}");
        }
    }

    #[test]
    fn the_language_cookie_is_found_among_others() {
        for (value, want) in [
            ("theme=dark; lang=zh-CN; a=b", Some(Lang::Chinese)),
            ("xlang=zh-CN", None),
            ("lang=", None),
            ("lang=tlh; lang=en", Some(Lang::English)),
        ] {
            assert_eq!(cookie(&headers(header::COOKIE, value)), want, "{value}");
        }
    }

    #[test]
    fn the_language_parameter_is_found_among_others() {
        for (query, want) in [
            ("q=a&lang=zh-CN&page=2", Some(Lang::Chinese)),
            ("lang=en", Some(Lang::English)),
            ("l%61ng=zh%2DCN", Some(Lang::Chinese)),
            ("lang=", None),
            ("lang=en&lang=zh-CN", None),
            ("lang=klingon", None),
            ("lang", None),
            ("q=lang=zh-CN", None),
        ] {
            assert_eq!(parameter(query), want, "{query}");
        }
    }
}
