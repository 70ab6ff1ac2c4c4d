//! Decides which proxy a request goes through, as kubectl does. Used by all clients but those of kubelets.
//!
//! The `proxy-url` of a kubeconfig applies whatever the address of its cluster, even on this machine
//! (client-go, `tools/clientcmd/client_config.go`). Otherwise the environment decides, by the rules of Go's
//! `http.ProxyFromEnvironment` (`golang.org/x/net/http/httpproxy`), in a pod as well.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use super::no_proxy::NoProxy;

/// A proxy. `Display` and `Debug` leave out user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The scheme is `http`, `https` or `socks5h`; there is always a port.
    url: Url,
}

/// The protocol that a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS version 5. The proxy resolves names, as Go has it for both `socks5` and `socks5h`.
    Socks,
}

/// The proxies and exceptions that the environment configures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRules {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: NoProxy,
}

impl Proxy {
    /// Parses the `proxy-url` of a kubeconfig. `None` for schemes other than those that kubectl accepts, and
    /// `socks5h`.
    pub fn from_kubeconfig(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        match url.scheme() {
            "http" | "https" | "socks5" | "socks5h" => Self::new(url),
            _ => None,
        }
    }

    /// Parses the value of an environment variable, which may be just `host` or `host:port`. HTTP is spoken
    /// for schemes that Go does not know, as Go does.
    pub fn from_variable(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::new(parse_address(text, "http")?)
    }

    fn new(url: Url) -> Option<Self> {
        let (scheme, default_port) = match url.scheme() {
            "https" => ("https", 443),
            "socks5" | "socks5h" => ("socks5h", 1080),
            _ => ("http", 80),
        };
        let port = url.port().unwrap_or(default_port);
        // `Url` treats the parts of other schemes differently from HTTP's: so the address is first built as
        // an HTTP one.
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let mut made = Url::parse(&format!("http://{host}:{port}")).ok()?;
        made.set_username(url.username()).ok()?;
        made.set_password(url.password()).ok()?;
        let rest = made.as_str().strip_prefix("http")?;
        let mut url = Url::parse(&format!("{scheme}{rest}")).ok()?;
        url.set_port(Some(port)).ok()?;
        Some(Self { url })
    }

    /// The protocol, by the scheme of the URL.
    pub fn protocol(&self) -> Protocol {
        match self.url.scheme() {
            "https" => Protocol::Https,
            "http" => Protocol::Http,
            _ => Protocol::Socks,
        }
    }

    /// `host:port`, with IPv6 addresses in brackets.
    pub fn authority(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or(1080);
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    /// User and password, percent-decoded.
    pub fn login(&self) -> Option<(String, String)> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (self.url.username(), self.url.password());
        let given = !user.is_empty() || password.is_some();
        given.then(|| (decode(user), decode(password.unwrap_or_default())))
    }

    /// Whether the proxy runs on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.authority())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ProxyRules {
    /// Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in upper or lower case. A value that is not an address is
    /// ignored, as Go does, with a warning in the log.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let any = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)))
        };
        let proxy = |names| {
            let (name, value) = any(names)?;
            let proxy = Proxy::from_variable(&value);
            if proxy.is_none() {
                tracing::warn!(variable = name, "not the address of a proxy, ignoring the variable");
            }
            proxy
        };
        let mut http = proxy(["HTTP_PROXY", "http_proxy"]);
        // In a CGI program HTTP_PROXY holds the `Proxy` header of a client's request
        // (golang.org/s/cgihttpproxy).
        if variable("REQUEST_METHOD").is_some_and(|value| !value.is_empty()) {
            http = None;
        }
        let except = any(["NO_PROXY", "no_proxy"]).map(|(_, value)| NoProxy::parse(&value));
        Self { http, https: proxy(["HTTPS_PROXY", "https_proxy"]), except: except.unwrap_or_default() }
    }

    /// Reads the rules from this program's environment.
    pub fn from_env() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The proxy for an address; always `None` for an address of this machine.
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "https" => self.https.as_ref()?,
            "http" => self.http.as_ref()?,
            _ => return None,
        };
        let host = url.host_str()?;
        (!is_loopback(url) && !self.except.matches(host, url.port_or_known_default()?)).then_some(proxy)
    }
}

/// Parses an address whose scheme may be missing, as Go and Kubernetes do; `scheme` is the default.
pub fn parse_address(text: &str, scheme: &str) -> Option<Url> {
    let whole = Url::parse(text).ok().filter(Url::has_host);
    // A text with a scheme, or one that begins with a slash, cannot be `host:port`.
    let short = || (!text.contains("://") && !text.starts_with('/')).then(|| format!("{scheme}://{text}"));
    whole.or_else(|| Url::parse(&short()?).ok())
}

/// Whether an address is on this machine: `localhost` or a loopback address.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(variables: &[(&str, &str)]) -> ProxyRules {
        ProxyRules::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> String {
        let url = url.parse().unwrap();
        rules(variables).proxy_for(&url).map_or_else(|| "none".into(), ToString::to_string)
    }

    /// The values of the tests of golang.org/x/net/http/httpproxy (`proxyForURLTests`, v0.56.0).
    #[test]
    fn the_environment_is_read_as_go_reads_it() {
        let insecure = "http://example.com";
        for (variables, url, want) in [
            (&[("HTTP_PROXY", "127.0.0.1:8080")][..], insecure, "http://127.0.0.1:8080"),
            (
                &[("HTTP_PROXY", "cache.corp.example.com:1234")],
                insecure,
                "http://cache.corp.example.com:1234",
            ),
            (&[("HTTP_PROXY", "cache.corp.example.com")], insecure, "http://cache.corp.example.com:80"),
            (&[("HTTP_PROXY", "localhost")], insecure, "http://localhost:80"),
            (
                &[("HTTP_PROXY", "https://cache.corp.example.com")],
                insecure,
                "https://cache.corp.example.com:443",
            ),
            (&[("HTTP_PROXY", "http://127.0.0.1:8080")], insecure, "http://127.0.0.1:8080"),
            (&[("HTTP_PROXY", "https://127.0.0.1:8080")], insecure, "https://127.0.0.1:8080"),
            (&[("HTTP_PROXY", "socks5://127.0.0.1")], insecure, "socks5h://127.0.0.1:1080"),
            // Go keeps the scheme, and then speaks HTTP.
            (&[("HTTP_PROXY", "foo://host")], insecure, "http://host:80"),
            (
                &[("HTTP_PROXY", "http.proxy.tld"), ("HTTPS_PROXY", "secure.proxy.tld")],
                "http://insecure.tld/",
                "http://http.proxy.tld:80",
            ),
            (
                &[("HTTP_PROXY", "http.proxy.tld"), ("HTTPS_PROXY", "secure.proxy.tld")],
                "https://secure.tld/",
                "http://secure.proxy.tld:80",
            ),
            (
                &[("HTTP_PROXY", "http.proxy.tld"), ("HTTPS_PROXY", "https://secure.proxy.tld")],
                "https://secure.tld/",
                "https://secure.proxy.tld:443",
            ),
            (&[("HTTP_PROXY", "http.proxy.tld")], "https://secure.tld/", "none"),
            (&[("HTTP_PROXY", "http.proxy.tld")], "ftp://insecure.tld/", "none"),
            // Go refuses the request.
            (&[("HTTP_PROXY", "http://10.1.2.3:8080"), ("REQUEST_METHOD", "PUT")], insecure, "none"),
            (
                &[("HTTPS_PROXY", "https://secure.proxy.tld"), ("REQUEST_METHOD", "PUT")],
                "https://secure.tld/",
                "https://secure.proxy.tld:443",
            ),
            (&[], insecure, "none"),
            (&[("NO_PROXY", "example.com"), ("HTTP_PROXY", "proxy")], "http://example.com/", "none"),
            (
                &[("NO_PROXY", ".example.com"), ("HTTP_PROXY", "proxy")],
                "http://example.com/",
                "http://proxy:80",
            ),
            (&[("NO_PROXY", "ample.com"), ("HTTP_PROXY", "proxy")], "http://example.com/", "http://proxy:80"),
            (&[("NO_PROXY", "example.com"), ("HTTP_PROXY", "proxy")], "http://foo.example.com/", "none"),
            (&[("NO_PROXY", ".foo.com"), ("HTTP_PROXY", "proxy")], "http://example.com/", "http://proxy:80"),
            (&[("NO_PROXY", ".示例.com"), ("HTTP_PROXY", "proxy")], "http://www.示例.com", "none"),
            (&[("NO_PROXY", "xn--fsq092h.com"), ("HTTP_PROXY", "proxy")], "http://www.示例.com", "none"),
            (&[("NO_PROXY", "示例.com"), ("HTTP_PROXY", "proxy")], "http://www.xn--fsq092h.com", "none"),
        ] {
            assert_eq!(chosen(variables, url), want, "{variables:?} {url}");
        }
    }

    #[test]
    fn either_spelling_counts_and_an_empty_value_does_not() {
        for variables in [
            &[("https_proxy", "p:1")][..],
            &[("HTTPS_PROXY", ""), ("https_proxy", "p:1")],
            &[("HTTPS_PROXY", "p:1"), ("https_proxy", "other:2")],
        ] {
            assert_eq!(chosen(variables, "https://10.0.0.1:6443"), "http://p:1", "{variables:?}");
        }
        assert_eq!(chosen(&[("all_proxy", "p:1"), ("ALL_PROXY", "p:1")], "https://a"), "none", "Go has none");
        for useless in ["http://", "http://:3128", "a b", "http://p:99999"] {
            assert_eq!(chosen(&[("HTTPS_PROXY", useless)], "https://a"), "none", "{useless}");
        }
    }

    #[test]
    fn this_machine_is_never_asked_through_a_proxy_of_the_environment() {
        for url in
            ["https://localhost:6443", "https://127.0.0.1:6443", "https://127.9.9.9", "https://[::1]:6443"]
        {
            assert_eq!(chosen(&[("HTTPS_PROXY", "p:1")], url), "none", "{url}");
        }
        for url in ["https://localhost.net", "https://local.localhost", "https://128.0.0.1", "https://[::2]"]
        {
            assert_eq!(chosen(&[("HTTPS_PROXY", "p:1")], url), "http://p:1", "{url}");
        }
    }

    #[test]
    fn a_kubeconfig_names_its_proxy_with_a_scheme() {
        for (text, want) in [
            ("http://p:3128", Some((Protocol::Http, "http://p:3128"))),
            ("http://p/", Some((Protocol::Http, "http://p:80"))),
            ("https://p", Some((Protocol::Https, "https://p:443"))),
            ("socks5://p", Some((Protocol::Socks, "socks5h://p:1080"))),
            ("socks5h://[fd00::1]:9050", Some((Protocol::Socks, "socks5h://[fd00::1]:9050"))),
            ("socks5://USER:p%40ss@P.example", Some((Protocol::Socks, "socks5h://p.example:1080"))),
            ("socks4://p", None),
            ("ftp://p", None),
            ("p:3128", None),
            ("", None),
            ("http://", None),
        ] {
            let proxy = Proxy::from_kubeconfig(text);
            let got = proxy.as_ref().map(|proxy| (proxy.protocol(), proxy.to_string()));
            assert_eq!(got, want.map(|(protocol, text)| (protocol, text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_login_is_unescaped_and_never_shown() {
        for (text, want) in [
            ("http://user:p%40ss%3A@p:3128", Some(("user", "p@ss:"))),
            ("socks5://user@p", Some(("user", ""))),
            ("https://:word@p", Some(("", "word"))),
            ("http://p:3128", None),
        ] {
            let proxy = Proxy::from_kubeconfig(text).unwrap();
            let login = proxy.login();
            let login = login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
            assert_eq!(login, want, "{text}");
            let shown = format!("{proxy} {proxy:?}");
            assert!(!shown.contains("user") && !shown.contains("ss") && !shown.contains("word"), "{shown}");
        }
    }
}
