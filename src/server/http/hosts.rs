//! `--allowed-hosts`: which host names the server answers to. `layers` checks every request.
//!
//! While there is no sign-in, this keeps a page of another origin from reading the API by pointing its own
//! DNS name at this address (DNS rebinding).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use axum::http::{HeaderMap, HeaderValue, Request, header, request::Parts, uri::Authority};

use super::{address, error::ApiError};
use crate::server::config::AllowedHosts;
use i18n::msg;

/// The hosts that are answered; `None` means every host.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Option<Arc<[Host]>>);

impl Hosts {
    /// Decides which hosts are answered. On a loopback listener these are the machine's own names, the host of
    /// `--public-url`, and the configured ones. On any other listener the program cannot know its names, so every host is answered
    /// unless some are configured.
    pub fn new(allowed: &AllowedHosts, public: Option<&str>, listener: Option<IpAddr>) -> Self {
        let loopback = listener.map(|address| address.to_canonical()).filter(IpAddr::is_loopback);
        let named: &[String] = match (allowed, loopback) {
            (AllowedHosts::Every, _) | (AllowedHosts::ByListener, None) => return Self(None),
            (AllowedHosts::ByListener, Some(_)) => &[],
            (AllowedHosts::Named(hosts), _) => hosts,
        };
        let own = loopback.into_iter().flat_map(own_hosts);
        let others = named.iter().map(String::as_str).chain(public);
        Self(Some(own.chain(others.filter_map(Host::parse)).collect()))
    }

    /// Refuses a request for another host. Probes are exempt, since they send the pod's address as host.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        let Some(hosts) = &self.0 else { return Ok(()) };
        if address::is_probe(request.uri().path()) {
            return Ok(());
        }
        let wanted = requested_host(request).ok_or(ApiError::BadRequest(msg!(problem.bad_host)))?;
        match hosts.iter().any(|host| host.answers_to(&wanted)) {
            true => Ok(()),
            false => Err(ApiError::Misdirected),
        }
    }
}

/// Returns whether a browser on this machine asks: its requests cross no network. A proxy may name this machine as host
/// too; it then says whom it asks for.
pub fn is_this_machine(headers: &HeaderMap) -> bool {
    if ["forwarded", "x-forwarded-for", "x-forwarded-proto"].iter().any(|name| headers.contains_key(*name)) {
        return false;
    }
    is_loopback_host(headers)
}

/// Returns whether the host that is asked for is this machine to every browser.
pub fn is_loopback_host(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| Host::parse(host.to_str().ok()?));
    host.is_some_and(|host| match host.name {
        Name::Address(address) => address.is_loopback(),
        Name::Text(name) => name == "localhost",
    })
}

/// Returns whether a request names this host, at any port: browsers send cookies to all ports of a host.
pub fn is_for(request: &Parts, host: &str) -> bool {
    let authority = request.uri.authority().map(Authority::as_str);
    let sent = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let wanted = authority.or(sent).and_then(Host::parse);
    wanted.zip(Host::parse(host)).is_some_and(|(wanted, own)| wanted.name == own.name)
}

/// Returns the names by which a browser on this machine reaches a loopback listener.
fn own_hosts(listener: IpAddr) -> [Host; 4] {
    let addresses = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), listener];
    let [ipv4, ipv6, listener] = addresses.map(|address| Host { name: Name::Address(address), port: None });
    [Host { name: Name::Text("localhost".to_owned()), port: None }, ipv4, ipv6, listener]
}

/// A host, with its port if one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    name: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// In lower case, without a trailing dot.
    Text(String),
    /// Parsed, since an address has many spellings: `[::1]`, `[0:0:0:0:0:0:0:1]`.
    Address(IpAddr),
}

impl Host {
    /// Parses `uri-host [":" port]` of RFC 9110, 7.2; `None` for anything else. User information is refused:
    /// the host after an `@` is not the one that a careless reader sees.
    fn parse(text: &str) -> Option<Self> {
        let authority = text.parse::<Authority>().ok().filter(|_| !text.contains('@'))?;
        let port = match text.strip_prefix(authority.host())? {
            "" | ":" => None,
            rest => Some(port(rest.strip_prefix(':')?)?),
        };
        Some(Self { name: Name::parse(authority.host())?, port })
    }

    /// Returns whether `wanted` is this host. A host without a port answers to every port.
    fn answers_to(&self, wanted: &Self) -> bool {
        self.name == wanted.name && (self.port.is_none() || self.port == wanted.port)
    }
}

/// Parses a port of digits only; Rust's parser would accept a plus sign.
fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.to_canonical()));
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        let address = text.parse().map(|address: Ipv4Addr| Self::Address(address.into()));
        Some(address.unwrap_or_else(|_| Self::Text(text.to_ascii_lowercase())))
    }
}

/// Returns the host that is asked for (RFC 9112, 3.2): the authority of the request line if it has one,
/// which overrides the Host header, else the only Host header.
fn requested_host<B>(request: &Request<B>) -> Option<Host> {
    if let Some(authority) = request.uri().authority() {
        return Host::parse(authority.as_str());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    Host::parse(HeaderValue::to_str(host).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hosts: &Hosts, host: &[&str], path: &str) -> u16 {
        let mut request = Request::builder().uri(path);
        for host in host {
            request = request.header(header::HOST, *host);
        }
        let checked = hosts.check(&request.body(()).unwrap());
        checked.map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    fn named(hosts: &[&str]) -> AllowedHosts {
        AllowedHosts::Named(hosts.iter().map(|host| (*host).to_owned()).collect())
    }

    fn listener(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn only_the_named_hosts_are_answered() {
        let hosts = Hosts::new(&named(&["dash.example.com", "x:8443", "[::1]"]), None, listener("0.0.0.0"));
        for (host, want) in [
            ("dash.example.com", 200),
            ("DASH.example.com:9999", 200),
            ("dash.example.com.", 200),
            ("x:8443", 200),
            ("X:8443", 200),
            ("[::1]:80", 200),
            ("x", 421),
            ("x:80", 421),
            ("localhost", 421),
            ("evil.example", 421),
            ("dash.example.com.evil.example", 421),
            ("dash.example.com..", 421),
            ("evil@x:8443", 400),
            ("evil@dash.example.com", 400),
            ("dash.example.com@evil.example", 400),
            ("", 400),
            (".", 400),
            ("a b", 400),
        ] {
            assert_eq!(status(&hosts, &[host], "/"), want, "{host}");
        }
        assert_eq!(status(&hosts, &[], "/"), 400);
        assert_eq!(status(&hosts, &["dash.example.com", "evil.example"], "/"), 400);
        assert_eq!(status(&hosts, &["dash.example.com", "dash.example.com"], "/"), 400);
        assert_eq!(status(&hosts, &["dash.example.com"], "http://evil.example/"), 421);
        assert_eq!(status(&hosts, &["evil.example"], "http://dash.example.com/"), 200, "the Host is ignored");
        assert_eq!(status(&hosts, &["dash.example.com"], "http://evil@dash.example.com/"), 400);
        for probe in ["/healthz", "/readyz", "/healthz?x"] {
            assert_eq!(status(&hosts, &["10.0.0.7:8081"], probe), 200);
        }
        assert_eq!(status(&hosts, &["10.0.0.7:8081"], "/healthz/"), 421);
    }

    #[test]
    fn a_loopback_listener_answers_to_this_machine_alone() {
        for address in ["127.0.0.1", "::1", "127.0.0.5", "::ffff:127.0.0.1"] {
            let hosts = Hosts::new(&AllowedHosts::ByListener, None, listener(address));
            for (host, want) in [
                ("localhost", 200),
                ("LOCALHOST:8081", 200),
                ("localhost.", 200),
                ("localhost:", 200),
                ("127.0.0.1:1", 200),
                ("[::1]", 200),
                ("[::1]:8081", 200),
                ("[0:0:0:0:0:0:0:1]:8081", 200),
                ("[::ffff:127.0.0.1]", 200),
                ("evil.example", 421),
                ("evil.example:8081", 421),
                ("localhost.evil.example", 421),
                ("evil.localhost", 421),
                ("127.0.0.1.nip.io", 421),
                ("127.0.0.9", 421),
                ("0.0.0.0:8081", 421),
                ("169.254.169.254", 421),
                ("localhost:http", 400),
                ("localhost:99999", 400),
                ("localhost:+80", 400),
                ("evil@localhost", 400),
                ("localhost@evil.example", 400),
                ("[::1", 400),
                ("[localhost]", 400),
                ("", 400),
            ] {
                assert_eq!(status(&hosts, &[host], "/"), want, "{address} {host}");
            }
            assert_eq!(status(&hosts, &[], "/api/vms"), 400);
            assert_eq!(status(&hosts, &["localhost", "localhost"], "/api/vms"), 400);
            assert_eq!(status(&hosts, &["localhost"], "http://evil.example/api/vms"), 421);
            assert_eq!(status(&hosts, &["evil.example"], "/readyz"), 200);
        }
        let hosts = Hosts::new(&AllowedHosts::ByListener, None, listener("127.0.0.5"));
        assert_eq!(status(&hosts, &["127.0.0.5:8081"], "/"), 200, "its own address");
    }

    #[test]
    fn what_is_named_adds_to_the_names_of_a_loopback_listener() {
        let hosts = Hosts::new(&named(&["dash.example:443"]), None, listener("127.0.0.1"));
        for (host, want) in
            [("localhost:8081", 200), ("dash.example:443", 200), ("dash.example", 421), ("evil.example", 421)]
        {
            assert_eq!(status(&hosts, &[host], "/"), want, "{host}");
        }
    }

    #[test]
    fn every_host_is_answered_where_that_is_asked_for_or_no_name_can_be_known() {
        for (allowed, address) in [
            (AllowedHosts::Every, listener("127.0.0.1")),
            (AllowedHosts::Every, listener("0.0.0.0")),
            (AllowedHosts::ByListener, listener("0.0.0.0")),
            (AllowedHosts::ByListener, listener("::")),
            (AllowedHosts::ByListener, listener("10.0.0.7")),
        ] {
            let hosts = Hosts::new(&allowed, None, address);
            assert_eq!(status(&hosts, &["evil.example"], "/"), 200, "{allowed:?} {address:?}");
        }
    }
}
