//! Parsers of flag values, one function for each kind of value. Each returns the value, or what was expected
//! instead. Used by `validate` and `sources`.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use ipnet::IpNet;

use super::{AllowedHosts, Listen, LogFormat, Output};
use collector::config::KubeletAccess;
use model::{name::is_dns_label, quantity::Quantity, source::SourceId};

/// What was expected, as text that follows the word "expected".
pub type Expected = String;

pub fn socket(text: &str) -> Result<SocketAddr, Expected> {
    text.parse().map_err(|_| "an IP address and a port, such as 127.0.0.1:8081 or [::]:8081".to_owned())
}

/// Parses an address and a port, or `:8081` for that port on every address.
pub fn listen(text: &str) -> Result<Listen, Expected> {
    let port = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let every = port.map(|port| Listen::EveryFamily { port });
    let address = || text.parse().ok().map(Listen::Address);
    every.or_else(address).ok_or_else(|| {
        "an IP address and a port, such as 127.0.0.1:8081 or [::1]:8081, or :8081 for every address"
            .to_owned()
    })
}

/// Parses a duration within the range, such as `15s`.
pub fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Expected> {
    let in_range = |duration: &Duration| range.contains(duration);
    humantime::parse_duration(text).ok().filter(in_range).ok_or_else(|| {
        let bound = humantime::format_duration;
        format!("a duration such as 15s, from {} to {}", bound(*range.start()), bound(*range.end()))
    })
}

/// Parses a whole number within the range.
pub fn number(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Expected> {
    let in_range = |number: &u64| range.contains(number);
    text.parse()
        .ok()
        .filter(in_range)
        .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
}

/// Parses a Kubernetes quantity of bytes. The range's ends are whole MiB.
pub fn bytes(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Expected> {
    let found = Quantity::parse(text).ok().map(Quantity::units).filter(|bytes| range.contains(bytes));
    found.ok_or_else(|| {
        format!("bytes such as 64Mi, from {}Mi to {}Mi", range.start() >> 20, range.end() >> 20)
    })
}

/// Parses namespaces, in the order given and without duplicates. `None` for an empty list.
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

/// Parses hosts, each with or without a port, into lower case; `*` alone means every host.
pub fn hosts(text: &str) -> Result<AllowedHosts, Expected> {
    if items(text).eq(["*"]) {
        return Ok(AllowedHosts::Every);
    }
    let hosts: Vec<String> =
        items(text).map(|host| check_host(host).map(str::to_ascii_lowercase)).collect::<Result<_, _>>()?;
    Ok(if hosts.is_empty() { AllowedHosts::ByListener } else { AllowedHosts::Named(hosts) })
}

/// Parses networks; an address is a network of one. IPv4 networks must be written as IPv4, since addresses
/// are compared in that form.
pub fn networks(text: &str) -> Result<Vec<IpNet>, Expected> {
    let network = |item: &str| {
        let network = item.parse().or_else(|_| item.parse().map(|address: IpAddr| IpNet::from(address)));
        network.ok().filter(|network| network.addr() == network.addr().to_canonical())
    };
    items(text)
        .map(|item| {
            network(item).ok_or_else(|| {
                format!("networks such as 10.0.0.0/8 or fd00::/8, comma-separated; {item:?} is none")
            })
        })
        .collect()
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

/// Returns the directives of a log filter if `tracing_subscriber::EnvFilter` can parse them.
pub fn log_filter(text: &str) -> Result<String, Expected> {
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    parsed
        .map(|_| text.to_owned())
        .map_err(|_| "log directives such as info or wukong_dashboard=debug".into())
}

/// Parses the sources of disk figures, in the order given and without duplicates.
pub fn disk_sources(text: &str) -> Result<Vec<SourceId>, Expected> {
    let mut found = Vec::new();
    for name in items(text) {
        let known = SourceId::DISK.into_iter().find(|id| id.code() == name);
        let id = known.ok_or_else(|| {
            let all = SourceId::DISK.map(SourceId::code).join(", ");
            format!("disk sources, comma-separated, out of {all}; {name:?} is none")
        })?;
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

pub fn kubelet_access(text: &str) -> Result<KubeletAccess, Expected> {
    match text {
        "auto" => Ok(KubeletAccess::Auto),
        "proxy" => Ok(KubeletAccess::Proxy),
        "direct" => Ok(KubeletAccess::Direct),
        _ => Err("auto, proxy or direct".to_owned()),
    }
}

pub fn flag(text: &str) -> Result<bool, Expected> {
    text.parse().map_err(|_| "true or false".to_owned())
}

/// Parses the base URL of an HTTP API, which must have no query and no fragment.
pub fn url(text: &str) -> Result<http::Uri, Expected> {
    let url = text.parse::<http::Uri>().ok().filter(|url| url.host().is_some_and(|host| !host.is_empty()));
    let url = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
    let url = url.filter(|url| url.query().is_none() && !text.contains('#'));
    url.ok_or_else(|| "an address such as https://prometheus.example.org/prefix".to_owned())
}

/// Returns whether a URL has a user, a password or a query, which may hold a key.
pub fn holds_credentials(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    url.contains('?') || authority.split(['/', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// Parses labels and their values, such as `cluster=a,env=b`.
pub fn matchers(text: &str) -> Result<Vec<(String, String)>, Expected> {
    let pair = |item: &str| {
        let (label, value) = item.split_once('=')?;
        let (label, value) = (label.trim(), value.trim());
        (is_label(label) && !value.is_empty()).then(|| (label.to_owned(), value.to_owned()))
    };
    items(text)
        .map(|item| pair(item).ok_or_else(|| format!("labels such as cluster=a,env=b; {item:?} is none")))
        .collect()
}

/// Returns whether the text is a label name of Prometheus.
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Parses a tenant's name, or a header and its value. Returns the header's name and value. The header
/// `Authorization` is refused.
pub fn tenant(text: &str) -> Result<(String, String), Expected> {
    let (header, name) = text.split_once(':').unwrap_or(("X-Scope-OrgID", text));
    let (header, name) = (header.trim(), name.trim());
    let valid = http::HeaderName::try_from(header).is_ok_and(|name| name != http::header::AUTHORIZATION)
        && http::HeaderValue::try_from(name).is_ok()
        && !name.is_empty();
    let expected = || "a tenant's name, or a header such as THANOS-TENANT: a".to_owned();
    valid.then(|| (header.to_owned(), name.to_owned())).ok_or_else(expected)
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn check_host(host: &str) -> Result<&str, Expected> {
    let authority = host.parse::<http::uri::Authority>().ok();
    let plain = authority.filter(|a| !a.host().is_empty() && !host.contains(['@', '*', '/']));
    let whole = plain.is_some_and(|a| a.host().len() == host.len() || a.port_u16().is_some());
    whole.then_some(host).ok_or_else(|| {
        format!("host names, comma-separated, each with or without a port, or * alone; {host:?} is none")
    })
}
