//! The flags of `--sign-in=proxy`.

use std::path::PathBuf;

use clap::Args;
use http::{HeaderName, Uri};

use super::super::{
    claim_mappings::GroupsFilter,
    parse::{self, Hidden},
};

/// The authenticating proxy of --sign-in=proxy. It proves itself by a signed token in each request
/// (--proxy-issuer), or by a client certificate (--proxy-client-ca).
#[derive(Debug, Args)]
pub struct AuthProxyFlags {
    /// Issuer of the signed token (JWT) in each request of the proxy, exactly as in the tokens, such as
    /// https://sso.example.com
    #[arg(long, value_name = "URL", env = "WUKONG_PROXY_ISSUER", hide_env_values = true)]
    #[arg(value_parser = Hidden(parse::issuer), conflicts_with = "proxy_client_ca")]
    pub proxy_issuer: Option<String>,
    /// Audience of these tokens: the client ID of the proxy at its provider, or the host of the dashboard
    #[arg(long, value_name = "TEXT", env = "WUKONG_PROXY_AUDIENCE", hide_env_values = true)]
    #[arg(value_parser = parse::text, requires = "proxy_issuer")]
    pub proxy_audience: Option<String>,
    /// URL of the keys (JWKS) that sign these tokens. If it is not set, the issuer is asked for it
    #[arg(long, value_name = "URL", env = "WUKONG_PROXY_JWKS_URL", hide_env_values = true)]
    #[arg(value_parser = Hidden(parse::safe_url), requires = "proxy_issuer")]
    pub proxy_jwks_url: Option<Uri>,
    /// Header with the token, such as X-Pomerium-Jwt-Assertion. In Authorization, it follows Bearer
    #[arg(long, value_name = "HEADER", env = "WUKONG_PROXY_ASSERTION_HEADER", hide_env_values = true)]
    #[arg(default_value = "authorization", value_parser = parse::header_name)]
    pub proxy_assertion_header: HeaderName,
    /// PEM file with the CA of the certificates of the issuer and of --proxy-jwks-url. If it is not set, the
    /// system's CAs are used
    #[arg(long, value_name = "FILE", env = "WUKONG_PROXY_CA", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub proxy_ca: Option<PathBuf>,
    /// PEM file with the CA of the proxy's client certificate. It requires --proxy-client-name, --tls-cert and
    /// --tls-key. The file is read again when it changes
    #[arg(long, value_name = "FILE", env = "WUKONG_PROXY_CLIENT_CA", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub proxy_client_ca: Option<PathBuf>,
    /// DNS name or IP address in the proxy's client certificate, as a subject alternative name
    #[arg(long, value_name = "NAME", env = "WUKONG_PROXY_CLIENT_NAME", hide_env_values = true)]
    #[arg(value_parser = parse::certificate_name, requires = "proxy_client_ca")]
    pub proxy_client_name: Option<String>,
    /// Header with the name of the user, on connections with that certificate
    #[arg(long, value_name = "HEADER", env = "WUKONG_PROXY_USER_HEADER", hide_env_values = true)]
    #[arg(default_value = "x-forwarded-user", value_parser = parse::header_name)]
    pub proxy_user_header: HeaderName,
    /// Header with the groups of the user, comma-separated
    #[arg(long, value_name = "HEADER", env = "WUKONG_PROXY_GROUPS_HEADER", hide_env_values = true)]
    #[arg(default_value = "x-forwarded-groups", value_parser = parse::header_name)]
    pub proxy_groups_header: HeaderName,
    /// Claim of the token with the name of the user
    #[arg(long, value_name = "CLAIM", env = "WUKONG_PROXY_USERNAME_CLAIM", hide_env_values = true)]
    #[arg(default_value = "sub", value_parser = parse::text)]
    pub proxy_username_claim: String,
    /// Claim of the token with the groups of the user
    #[arg(long, value_name = "CLAIM", env = "WUKONG_PROXY_GROUPS_CLAIM", hide_env_values = true)]
    #[arg(default_value = "groups", value_parser = parse::text)]
    pub proxy_groups_claim: String,
    /// Text before the name of the user in Kubernetes; - for none. Use what the API server has
    #[arg(long, value_name = "TEXT", env = "WUKONG_PROXY_USERNAME_PREFIX", hide_env_values = true)]
    #[arg(default_value = "oidc:", value_parser = parse::prefix, allow_hyphen_values = true)]
    pub proxy_username_prefix: String,
    /// Text before the name of a group in Kubernetes; - for none. Use what the API server has
    #[arg(long, value_name = "TEXT", env = "WUKONG_PROXY_GROUPS_PREFIX", hide_env_values = true)]
    #[arg(default_value = "oidc:", value_parser = parse::prefix, allow_hyphen_values = true)]
    pub proxy_groups_prefix: String,
    /// Regular expression for the whole names of the groups that count, without their prefix, such as
    /// vm-.*|ops. If it is not set, all groups count
    #[arg(long, value_name = "REGEX", env = "WUKONG_PROXY_GROUPS_FILTER", hide_env_values = true)]
    #[arg(value_parser = parse::groups_filter)]
    pub proxy_groups_filter: Option<GroupsFilter>,
    /// URL at which people sign out at the proxy, such as https://vms.example.com/oauth2/sign_out. If it is not
    /// set, the user menu has no sign-out
    #[arg(long, value_name = "URL", env = "WUKONG_PROXY_SIGN_OUT_URL", hide_env_values = true)]
    #[arg(value_parser = parse::sign_out_url)]
    pub proxy_sign_out_url: Option<Uri>,
}
