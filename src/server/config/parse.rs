//! Parsers of flag values, for clap. Each returns the value, or what was expected instead; clap adds the flag. Spaces
//! around a value are ignored.

use std::{
    convert::Infallible,
    ffi::OsStr,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use clap::{
    Arg, Command, Error,
    builder::{
        PathBufValueParser, PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser,
    },
    error::{ContextKind, ContextValue},
};
use http::{HeaderName, Uri, header};
use ipnet::IpNet;

use super::{
    AllowedHosts, Listen, PublicUrl, SignInMode, SignInModes, SimViewer, claim_mappings::GroupsFilter,
    sign_in::is_this_machine,
};
use collector::config::KubeletAccess;
use model::{name::is_dns_label, params::is_unseen, quantity::Quantity, source::SourceId};

/// What was expected, as a text that follows the value and the flag.
pub type Expected = String;

// A list is one value of its flag. These are aliases since clap's derive takes a field of the type `Vec` for a flag that
// is given several times.
pub type Namespaces = Vec<String>;
pub type Networks = Vec<IpNet>;
pub type DiskSources = Vec<SourceId>;
pub type Scopes = Vec<String>;
/// Labels and their values.
pub type Matchers = Vec<(String, String)>;
/// Name and value of a header.
pub type Tenant = (String, String);

/// A parser that ignores spaces around the value.
#[derive(Clone)]
pub struct Trimmed<P>(P);

pub fn trimmed<P: TypedValueParser>(parser: P) -> Trimmed<P> {
    Trimmed(parser)
}

impl<P: TypedValueParser> TypedValueParser for Trimmed<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<P::Value, Error> {
        self.0.parse_ref(command, arg, value.to_str().map_or(value, |text| OsStr::new(text.trim())))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// A parser whose error does not show the value, which may hold a password or a token.
#[derive(Clone)]
pub struct Hidden<P>(pub P);

impl<P: TypedValueParser> TypedValueParser for Hidden<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<P::Value, Error> {
        self.0.parse_ref(command, arg, value).map_err(|mut error| {
            error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
            error
        })
    }
}

pub fn text(text: &str) -> Result<String, Infallible> {
    Ok(text.trim().to_owned())
}

pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    trimmed(PathBufValueParser::new())
}

/// Parses a whole number within the range.
pub fn count(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = usize> {
    trimmed(RangedU64ValueParser::<usize>::new().range(range))
}

pub fn kubelet_access() -> impl TypedValueParser<Value = KubeletAccess> {
    trimmed(PossibleValuesParser::new(["auto", "proxy", "direct"]).map(|text| match text.as_str() {
        "proxy" => KubeletAccess::Proxy,
        "direct" => KubeletAccess::Direct,
        _ => KubeletAccess::Auto,
    }))
}

pub fn socket(text: &str) -> Result<SocketAddr, Expected> {
    text.trim()
        .parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8081 or [::]:8081".to_owned())
}

/// Parses an address and a port, or `:8081` for that port on every address.
pub fn listen(text: &str) -> Result<Listen, Expected> {
    let text = text.trim();
    let port = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let every = port.map(|port| Listen::EveryFamily { port });
    let address = || text.parse().ok().map(Listen::Address);
    every.or_else(address).ok_or_else(|| {
        "expected an IP address and a port, such as 127.0.0.1:8081 or [::1]:8081, or :8081 for every address"
            .to_owned()
    })
}

/// Parses ways to sign in. `none` stands alone.
pub fn sign_in_modes(text: &str) -> Result<SignInModes, Expected> {
    if items(text).eq(["none"]) {
        return Ok(SignInModes::default());
    }
    let mode = |name: &str| SignInMode::ALL.into_iter().find(|mode| mode.code() == name);
    let modes: Option<SignInModes> = items(text).map(mode).collect();
    modes.filter(|modes| !modes.is_none()).ok_or_else(|| {
        let all = SignInMode::ALL.map(SignInMode::code).join(", ");
        format!("expected ways to sign in, comma-separated, out of {all}; or none, alone")
    })
}

/// Parses an issuer of OpenID Connect, and keeps how it is written. Plain HTTP is for this machine alone.
pub fn issuer(text: &str) -> Result<String, Expected> {
    let text = text.trim();
    let uri = url(text).map_err(|_| ISSUER.to_owned())?;
    let is_safe = uri.scheme_str() == Some("https") || uri.host().is_some_and(is_this_machine);
    if is_safe { Ok(text.to_owned()) } else { Err(ISSUER.to_owned()) }
}

const ISSUER: &str = "expected the URL of an issuer by https, without user, password and query, such as https://sso.example.com";

/// Parses the URL of keys. Plain HTTP is for this machine alone.
pub fn safe_url(text: &str) -> Result<Uri, Expected> {
    let uri = url(text)?;
    let is_safe = uri.scheme_str() == Some("https") || uri.host().is_some_and(is_this_machine);
    is_safe
        .then_some(uri)
        .ok_or_else(|| "expected an https:// URL; plain HTTP is for this machine alone".to_owned())
}

/// Parses an address that pages lead to. It may have a query.
pub fn sign_out_url(text: &str) -> Result<Uri, Expected> {
    let uri = text.trim().parse::<Uri>().ok().filter(|_| !text.contains('#'));
    let uri = uri.filter(|uri| {
        let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
        is_web && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    uri.ok_or_else(|| "expected a URL such as https://vms.example.com/oauth2/sign_out".to_owned())
}

/// Parses the name of a header that names a user. Headers with a meaning of their own are refused.
pub fn header_name(text: &str) -> Result<HeaderName, Expected> {
    let name = text.trim().parse::<HeaderName>().ok();
    let plain = |name: &HeaderName| {
        let is_plain = name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_plain && ![header::HOST, header::COOKIE, header::ORIGIN].contains(name)
    };
    name.filter(plain).ok_or_else(|| {
        "expected the name of a header of letters, digits and dashes, such as X-Forwarded-User".to_owned()
    })
}

/// Parses a name that stands in a certificate.
pub fn certificate_name(text: &str) -> Result<String, Expected> {
    let text = text.trim();
    let is_name = rustls_pki_types::ServerName::try_from(text).is_ok();
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| "expected a DNS name or an IP address, such as proxy.example.com".to_owned())
}

/// Parses scopes of OAuth 2 (RFC 6749, 3.3), without `openid`, which is always asked for.
pub fn scopes(text: &str) -> Result<Scopes, Expected> {
    let is_scope = |name: &&str| name.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    match items(text).find(|name| !is_scope(name)) {
        Some(bad) => Err(format!("expected scopes, comma-separated; {bad:?} is not one")),
        None => Ok(items(text).filter(|name| *name != "openid").map(str::to_owned).collect()),
    }
}

/// Parses a prefix of names; `-` is none, as for the API server.
pub fn prefix(text: &str) -> Result<String, Infallible> {
    let text = text.trim();
    Ok(if text == "-" { String::new() } else { text.to_owned() })
}

pub fn groups_filter(text: &str) -> Result<GroupsFilter, Expected> {
    text.trim().parse().map_err(|_| "expected a regular expression, such as vm-.*|ops".to_owned())
}

/// Parses the address at which browsers reach the server.
pub fn public_url(text: &str) -> Result<PublicUrl, Expected> {
    // The parser would leave a fragment out.
    let url = text.trim().parse().ok().filter(|_| !text.contains('#')).and_then(PublicUrl::new);
    url.ok_or_else(|| {
        "expected a URL such as https://vms.example.com or https://ops.example.com/vms/, without a query, whose path has only letters, digits and -._~".to_owned()
    })
}

/// Parses a duration within the range, such as `15s`.
pub fn duration(range: RangeInclusive<Duration>) -> impl TypedValueParser<Value = Duration> {
    move |text: &str| {
        let duration =
            humantime::parse_duration(text.trim()).ok().filter(|duration| range.contains(duration));
        duration.ok_or_else(|| {
            let bound = humantime::format_duration;
            format!(
                "expected a duration such as 15s, from {} to {}",
                bound(*range.start()),
                bound(*range.end())
            )
        })
    }
}

/// Parses a Kubernetes quantity of bytes. The range's ends are whole MiB.
pub fn bytes(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = usize> {
    move |text: &str| {
        let bytes =
            Quantity::parse(text.trim()).ok().map(Quantity::units).filter(|bytes| range.contains(bytes));
        bytes.map(|bytes| bytes as usize).ok_or_else(|| {
            let (least, most) = (range.start() >> 20, range.end() >> 20);
            format!("expected bytes such as 64Mi, from {least}Mi to {most}Mi")
        })
    }
}

/// Parses a viewer of the simulated cluster: `NAME[+GROUP…]=NAMESPACES`.
pub fn viewer(text: &str) -> Result<SimViewer, Expected> {
    let expected = || "expected NAME[+GROUP]=NAMESPACES, such as oidc:ana+oidc:ops=shop,payments".to_owned();
    let (names, places) = text.trim().split_once('=').ok_or_else(expected)?;
    let mut names = names.split('+').map(str::trim);
    let (name, groups) = (names.next().unwrap_or_default().to_owned(), names.map(str::to_owned).collect());
    let viewer = SimViewer { name, groups, namespaces: namespaces(places)? };
    let is_name = |name: &String| !name.is_empty() && !name.contains(is_unseen);
    match is_name(&viewer.name) && viewer.groups.iter().all(is_name) {
        true => Ok(viewer),
        false => Err(expected()),
    }
}

/// Parses namespaces, in the order given and without duplicates.
pub fn namespaces(text: &str) -> Result<Namespaces, Expected> {
    let mut found = Namespaces::new();
    for name in items(text) {
        if !is_dns_label(name) {
            return Err(format!(
                "expected namespaces, comma-separated; {name:?} is not one (a-z, 0-9 and inner dashes, at most 63 characters)"
            ));
        }
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// Parses the name of one namespace.
pub fn namespace(text: &str) -> Result<String, Expected> {
    match namespaces(text)?.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err("expected the name of one namespace".to_owned()),
    }
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
pub fn networks(text: &str) -> Result<Networks, Expected> {
    let network = |item: &str| {
        let network = item.parse().or_else(|_| item.parse().map(|address: IpAddr| IpNet::from(address)));
        network.ok().filter(|network| network.addr() == network.addr().to_canonical())
    };
    items(text)
        .map(|item| {
            network(item).ok_or_else(|| {
                format!(
                    "expected networks such as 10.0.0.0/8 or fd00::/8, comma-separated; {item:?} is not one"
                )
            })
        })
        .collect()
}

/// Returns the directives of a log filter if `tracing_subscriber::EnvFilter` can parse them.
pub fn log_filter(text: &str) -> Result<String, Expected> {
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    parsed
        .map(|_| text.to_owned())
        .map_err(|_| "expected log directives such as info or wukong_dashboard=debug".into())
}

/// Parses the sources of disk figures, in the order given and without duplicates.
pub fn disk_sources(text: &str) -> Result<DiskSources, Expected> {
    let mut found = DiskSources::new();
    for name in items(text) {
        let known = SourceId::DISK.into_iter().find(|id| id.code() == name);
        let id = known.ok_or_else(|| {
            let all = SourceId::DISK.map(SourceId::code).join(", ");
            format!("expected disk sources, comma-separated, out of {all}; {name:?} is not one")
        })?;
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Parses the base URL of an HTTP API, which must have no query and no fragment, and no user and password: secrets
/// belong in files.
pub fn url(text: &str) -> Result<Uri, Expected> {
    let text = text.trim();
    if holds_credentials(text) {
        return Err("expected a URL without user, password and query: secrets belong in files".to_owned());
    }
    let url = text.parse::<Uri>().ok().filter(|url| url.host().is_some_and(|host| !host.is_empty()));
    let url = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && !text.contains('#'));
    url.ok_or_else(|| "expected a URL such as https://prometheus.example.org/prefix".to_owned())
}

/// Returns whether a URL has a user, a password or a query, which may hold a key.
fn holds_credentials(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    url.contains('?') || authority.split(['/', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// Parses labels and their values, such as `cluster=a,env=b`.
pub fn matchers(text: &str) -> Result<Matchers, Expected> {
    let pair = |item: &str| {
        let (label, value) = item.split_once('=')?;
        let (label, value) = (label.trim(), value.trim());
        (is_label(label) && !value.is_empty()).then(|| (label.to_owned(), value.to_owned()))
    };
    items(text)
        .map(|item| {
            pair(item).ok_or_else(|| format!("expected labels such as cluster=a,env=b; {item:?} is not one"))
        })
        .collect()
}

/// Returns whether the text is a label name of Prometheus.
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Parses a tenant's name, or a header and its value. Returns the header's name and value. The header
/// `Authorization` is refused.
pub fn tenant(text: &str) -> Result<Tenant, Expected> {
    let (header, name) = text.split_once(':').unwrap_or(("X-Scope-OrgID", text));
    let (header, name) = (header.trim(), name.trim());
    let valid = http::HeaderName::try_from(header).is_ok_and(|name| name != http::header::AUTHORIZATION)
        && http::HeaderValue::try_from(name).is_ok()
        && !name.is_empty();
    let expected = || "expected the name of a tenant, or a header such as THANOS-TENANT: a".to_owned();
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
        format!(
            "expected host names, comma-separated, each with or without a port, or * alone; {host:?} is not one"
        )
    })
}
