//! The flags of `--sign-in=oidc`.

use std::path::PathBuf;

use clap::Args;

use super::super::{
    claim_mappings::GroupsFilter,
    parse::{self, Hidden, Scopes},
};

/// The OpenID Connect provider of --sign-in=oidc.
#[derive(Debug, Args)]
pub struct OidcFlags {
    /// Issuer of the OpenID Connect provider, exactly as in the tokens, such as https://sso.example.com
    #[arg(long, value_name = "URL", env = "WUKONG_OIDC_ISSUER", hide_env_values = true)]
    #[arg(value_parser = Hidden(parse::issuer))]
    pub oidc_issuer: Option<String>,
    /// Client ID of the dashboard at the provider
    #[arg(long, value_name = "ID", env = "WUKONG_OIDC_CLIENT_ID", hide_env_values = true)]
    #[arg(value_parser = parse::text)]
    pub oidc_client_id: Option<String>,
    /// File with the client's secret. The file is read again for each sign-in. If it is not set, the client
    /// is a public one
    #[arg(long, value_name = "FILE", env = "WUKONG_OIDC_CLIENT_SECRET_FILE", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// Scopes to ask for besides openid, comma-separated
    #[arg(long, value_name = "SCOPES", env = "WUKONG_OIDC_SCOPES", hide_env_values = true)]
    #[arg(default_value = "profile,email", value_parser = parse::scopes)]
    pub oidc_scopes: Scopes,
    /// PEM file with the CA of the provider's certificates. If it is not set, the system's CAs are used
    #[arg(long, value_name = "FILE", env = "WUKONG_OIDC_CA", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub oidc_ca: Option<PathBuf>,
    /// Claim with the name of the user
    #[arg(long, value_name = "CLAIM", env = "WUKONG_OIDC_USERNAME_CLAIM", hide_env_values = true)]
    #[arg(default_value = "sub", value_parser = parse::text)]
    pub oidc_username_claim: String,
    /// Claim with the groups of the user
    #[arg(long, value_name = "CLAIM", env = "WUKONG_OIDC_GROUPS_CLAIM", hide_env_values = true)]
    #[arg(default_value = "groups", value_parser = parse::text)]
    pub oidc_groups_claim: String,
    /// Text before the name of the user in Kubernetes; - for none. Use what the API server has
    #[arg(long, value_name = "TEXT", env = "WUKONG_OIDC_USERNAME_PREFIX", hide_env_values = true)]
    #[arg(default_value = "oidc:", value_parser = parse::prefix, allow_hyphen_values = true)]
    pub oidc_username_prefix: String,
    /// Text before the name of a group in Kubernetes; - for none. Use what the API server has
    #[arg(long, value_name = "TEXT", env = "WUKONG_OIDC_GROUPS_PREFIX", hide_env_values = true)]
    #[arg(default_value = "oidc:", value_parser = parse::prefix, allow_hyphen_values = true)]
    pub oidc_groups_prefix: String,
    /// Regular expression for the whole names of the groups that count, without their prefix, such as
    /// vm-.*|ops. If it is not set, all groups count
    #[arg(long, value_name = "REGEX", env = "WUKONG_OIDC_GROUPS_FILTER", hide_env_values = true)]
    #[arg(value_parser = parse::groups_filter)]
    pub oidc_groups_filter: Option<GroupsFilter>,
}
