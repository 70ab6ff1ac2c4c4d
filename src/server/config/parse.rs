//! One function for each kind of value: text in, value out, or what was expected instead.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use super::{LogFormat, Output};

/// What a value should have been, in words that follow "expected".
pub type Expected = String;

pub fn socket(text: &str) -> Result<SocketAddr, Expected> {
    text.parse().map_err(|_| "an IP address and a port, such as 127.0.0.1:8081 or [::]:8081".to_owned())
}

pub fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Expected> {
    let in_range = |duration: &Duration| range.contains(duration);
    humantime::parse_duration(text).ok().filter(in_range).ok_or_else(|| {
        let bound = humantime::format_duration;
        format!("a duration such as 15s, from {} to {}", bound(*range.start()), bound(*range.end()))
    })
}

pub fn number(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Expected> {
    let in_range = |number: &u64| range.contains(number);
    text.parse()
        .ok()
        .filter(in_range)
        .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
}

/// Namespaces in the order given, each once; none for an empty list.
pub fn namespaces(text: &str) -> Result<Option<Vec<String>>, Expected> {
    let mut found: Vec<String> = Vec::new();
    for name in items(text) {
        if !is_dns_label(name) {
            return Err(format!(
                "namespaces, comma-separated; {name:?} is none (a-z, 0-9 and inner dashes, at most 63 characters)"
            ));
        }
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

/// Hosts in lower case, each with or without a port.
pub fn hosts(text: &str) -> Result<Vec<String>, Expected> {
    items(text).map(|host| check_host(host).map(str::to_ascii_lowercase)).collect()
}

pub fn log_format(text: &str) -> Result<LogFormat, Expected> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}

pub fn output(text: &str) -> Result<Output, Expected> {
    match text {
        "text" => Ok(Output::Text),
        "json" => Ok(Output::Json),
        _ => Err("text or json".to_owned()),
    }
}

pub fn log_filter(text: &str) -> Result<String, Expected> {
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    parsed
        .map(|_| text.to_owned())
        .map_err(|_| "log directives such as info or wukong_dashboard=debug".into())
}

/// RFC 1123 label, which every namespace's name is.
pub fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn check_host(host: &str) -> Result<&str, Expected> {
    let authority = host.parse::<http::uri::Authority>().ok();
    let plain = authority.filter(|a| !a.host().is_empty() && !host.contains(['@', '*', '/']));
    let whole = plain.is_some_and(|a| a.host().len() == host.len() || a.port_u16().is_some());
    whole
        .then_some(host)
        .ok_or_else(|| format!("host names, comma-separated, each with or without a port; {host:?} is none"))
}
