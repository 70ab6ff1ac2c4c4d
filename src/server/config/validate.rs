//! Turns the command line and the environment into an [`Invocation`]. clap checks each value and which flags exclude or
//! require each other; this module checks what clap cannot. `main` calls [`read`].

use std::ffi::OsString;

use clap::{
    Arg, Command, CommandFactory, Error, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    Invocation, LogConfig, LogFormat, SignInMode, Task, empty,
    flags::{self, CollectFlags, Flags, LogFlags, ServeFlags, SignInFlags, TlsFlags},
    parse,
};

/// The default log filter. kube's client logs whole answers that it cannot decode, and failures that
/// `collector` logs itself.
const LOG_FILTER: &str = "info,kube_client=off";

/// Reads and validates the command line and the environment. Fails with clap's answer: the first mistake, the help text or
/// the version.
pub fn read(line: impl IntoIterator<Item = OsString>, rust_log: &str) -> Result<Invocation, Error> {
    let (mut command, line) = empty::leave_out(Flags::command(), line);
    let flags = command.try_get_matches_from_mut(&line).and_then(|matches| Flags::from_arg_matches(&matches));
    let invocation =
        flags.and_then(|flags| invocation(flags, rust_log).map_err(|error| error.format(&mut command)));
    let subcommand = line.get(1).and_then(|word| command.find_subcommand(word));
    invocation.map_err(|error| with_variables(error, subcommand.unwrap_or(&command)))
}

fn invocation(flags: Flags, rust_log: &str) -> Result<Invocation, Error> {
    Ok(match flags.command {
        None => {
            // First what says that people shall sign in, and does not say how.
            check_unused_modes(&flags.serve.sign_in)?;
            check_sign_in(&flags.serve)?;
            check_serve(&flags.serve)?;
            let log = log(&flags.serve.log, rust_log)?;
            Invocation { log, task: Task::Serve(flags.serve.into()) }
        }
        Some(flags::Command::Demo(demo)) => {
            check_budget(&demo.collect)?;
            let (log, size) = (log(&demo.log, rust_log)?, (&demo.size).into());
            Invocation { log, task: Task::Demo((*demo).into(), size) }
        }
        Some(flags::Command::Sim(sim)) => {
            Invocation { log: log(&sim.log, rust_log)?, task: Task::Sim(sim.into()) }
        }
        // The log of `check` is off unless RUST_LOG is set: the report says everything that went wrong.
        Some(flags::Command::Check(check)) => {
            // Whether others may come in without a sign-in does not matter: it serves nothing. In the image,
            // WUKONG_LISTEN is that of the dashboard.
            check_serve(&check.serve)?;
            let filter = if rust_log.trim().is_empty() { "off" } else { rust_log };
            let (log, output) = (log(&check.serve.log, filter)?, check.output);
            Invocation { log, task: Task::Check(check.serve.into(), output) }
        }
        // The health check logs nothing: its exit code says everything.
        Some(flags::Command::Healthcheck(http)) => {
            let log = LogConfig { format: LogFormat::Text, filter: String::new() };
            Invocation { log, task: Task::Healthcheck(http.listen, http.tls.into()) }
        }
    })
}

/// Which flags go together, for the dashboard and for its `check`.
fn check_serve(flags: &ServeFlags) -> Result<(), Error> {
    check_budget(&flags.collect)?;
    check_unused_modes(&flags.sign_in)?;
    check_oidc(&flags.sign_in)?;
    check_auth_proxy(&flags.sign_in, &flags.http.tls)?;
    check_scheme(flags)
}

fn log(flags: &LogFlags, rust_log: &str) -> Result<LogConfig, Error> {
    let filter = match rust_log.trim() {
        "" => LOG_FILTER.to_owned(),
        filter => parse::log_filter(filter).map_err(|expected| {
            let message = format!("invalid value '{filter}' for RUST_LOG: {expected}");
            Error::raw(ErrorKind::ValueValidation, message)
        })?,
    };
    Ok(LogConfig { format: flags.log_format, filter })
}

/// A reading of Ceph must have time for at least one answer.
fn check_budget(flags: &CollectFlags) -> Result<(), Error> {
    let (budget, deadline) = (flags.sources.ceph_budget, flags.sources.ceph_deadline);
    if budget >= deadline {
        return Ok(());
    }
    let [budget, deadline] = [budget, deadline].map(humantime::format_duration);
    let message = format!(
        "--ceph-budget (WUKONG_CEPH_BUDGET) is {budget}, shorter than \
         --ceph-deadline (WUKONG_CEPH_DEADLINE), which is {deadline}"
    );
    Err(Error::raw(ErrorKind::ArgumentConflict, message))
}

/// Nobody serves every VM to a network by mistake.
fn check_sign_in(flags: &ServeFlags) -> Result<(), Error> {
    let sign_in = &flags.sign_in;
    if sign_in.sign_in.is_some() {
        return Ok(());
    }
    let Some(way_in) = way_in(flags) else { return Ok(()) };
    let message = format!(
        "--sign-in (WUKONG_SIGN_IN) is required, since other machines can reach {way_in}: token asks for a \
         Kubernetes token, oidc leads to an identity provider, proxy trusts an authenticating proxy, and none shows \
         every VM to everybody"
    );
    Err(Error::raw(ErrorKind::MissingRequiredArgument, message))
}

/// Returns by what other machines reach the server; `None` if nothing says that they do.
fn way_in(flags: &ServeFlags) -> Option<String> {
    let (listen, public_url) = (flags.http.listen, flags.sign_in.public_url.as_ref());
    if !listen.is_loopback() {
        return Some(format!("--listen {listen}"));
    }
    if public_url.is_some_and(|url| !url.is_this_machine()) {
        return Some("--public-url (WUKONG_PUBLIC_URL)".to_owned());
    }
    // A proxy on this machine lets others in.
    let is_proxied = flags.http.trusted_proxies.is_some();
    is_proxied.then(|| "the proxies of --trusted-proxies (WUKONG_TRUSTED_PROXIES)".to_owned())
}

/// A provider or a proxy is configured so that people sign in there.
fn check_unused_modes(flags: &SignInFlags) -> Result<(), Error> {
    let has = |mode| flags.sign_in.as_ref().is_some_and(|modes| modes.has(mode));
    let proxy = &flags.auth_proxy;
    for (is_set, mode, flag) in [
        (flags.oidc.oidc_issuer.is_some(), SignInMode::Oidc, "--oidc-issuer (WUKONG_OIDC_ISSUER)"),
        (proxy.proxy_issuer.is_some(), SignInMode::Proxy, "--proxy-issuer (WUKONG_PROXY_ISSUER)"),
        (proxy.proxy_client_ca.is_some(), SignInMode::Proxy, "--proxy-client-ca (WUKONG_PROXY_CLIENT_CA)"),
    ] {
        if is_set && !has(mode) {
            let code = mode.code();
            let message =
                format!("{flag} needs --sign-in={code} (WUKONG_SIGN_IN): nobody signs in there without it");
            return Err(Error::raw(ErrorKind::MissingRequiredArgument, message));
        }
    }
    Ok(())
}

/// A provider leads people back to an address that it knows, over a connection that nobody reads.
fn check_oidc(flags: &SignInFlags) -> Result<(), Error> {
    if !flags.sign_in.as_ref().is_some_and(|modes| modes.has(SignInMode::Oidc)) {
        return Ok(());
    }
    let oidc = &flags.oidc;
    for (is_set, flag) in [
        (oidc.oidc_issuer.is_some(), "--oidc-issuer (WUKONG_OIDC_ISSUER)"),
        (oidc.oidc_client_id.is_some(), "--oidc-client-id (WUKONG_OIDC_CLIENT_ID)"),
        (flags.public_url.is_some(), "--public-url (WUKONG_PUBLIC_URL)"),
    ] {
        if !is_set {
            let message = format!("{flag} is required by --sign-in=oidc (WUKONG_SIGN_IN)");
            return Err(Error::raw(ErrorKind::MissingRequiredArgument, message));
        }
    }
    if flags.public_url.as_ref().is_some_and(|url| !url.is_https() && !url.is_this_machine()) {
        let message = "--public-url (WUKONG_PUBLIC_URL) must be an https:// address for --sign-in=oidc \
                       (WUKONG_SIGN_IN): plain HTTP is for localhost alone";
        return Err(Error::raw(ErrorKind::ArgumentConflict, message));
    }
    Ok(())
}

/// Browsers that come by plain HTTP do not reach a listener with TLS, unless a proxy is between.
fn check_scheme(flags: &ServeFlags) -> Result<(), Error> {
    let (sign_in, http) = (&flags.sign_in, &flags.http);
    let is_plain = sign_in.public_url.as_ref().is_some_and(|url| !url.is_https());
    let is_proxied = http.trusted_proxies.is_some() || sign_in.auth_proxy.proxy_client_ca.is_some();
    if !is_plain || is_proxied || http.tls.tls_cert.is_none() {
        return Ok(());
    }
    let message = "--public-url (WUKONG_PUBLIC_URL) is an http:// address, but the dashboard serves HTTPS with \
                   --tls-cert (WUKONG_TLS_CERT): write https://";
    Err(Error::raw(ErrorKind::ArgumentConflict, message))
}

/// A proxy proves itself by all that one of the two proofs needs.
fn check_auth_proxy(flags: &SignInFlags, tls: &TlsFlags) -> Result<(), Error> {
    if !flags.sign_in.as_ref().is_some_and(|modes| modes.has(SignInMode::Proxy)) {
        return Ok(());
    }
    let proxy = &flags.auth_proxy;
    let missing = match (&proxy.proxy_issuer, &proxy.proxy_client_ca) {
        (None, None) => "--proxy-issuer (WUKONG_PROXY_ISSUER) or --proxy-client-ca (WUKONG_PROXY_CLIENT_CA)",
        (Some(_), _) if proxy.proxy_audience.is_none() => "--proxy-audience (WUKONG_PROXY_AUDIENCE)",
        (None, Some(_)) if proxy.proxy_client_name.is_none() => {
            "--proxy-client-name (WUKONG_PROXY_CLIENT_NAME)"
        }
        (None, Some(_)) if tls.tls_cert.is_none() => "--tls-cert (WUKONG_TLS_CERT)",
        _ => return Ok(()),
    };
    let message = format!("{missing} is required by --sign-in=proxy (WUKONG_SIGN_IN)");
    Err(Error::raw(ErrorKind::MissingRequiredArgument, message))
}

/// Adds the environment variable to each flag that the error names: the value may come from there.
fn with_variables(mut error: Error, command: &Command) -> Error {
    let variable = |flag: &String| {
        let arg = command.get_arguments().find(|arg| arg.to_string() == *flag);
        match arg.and_then(Arg::get_env) {
            Some(variable) => format!("{flag} ({})", variable.display()),
            None => flag.clone(),
        }
    };
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) => ContextValue::String(variable(flag)),
        Some(ContextValue::Strings(flags)) => ContextValue::Strings(flags.iter().map(variable).collect()),
        _ => return error,
    };
    error.insert(ContextKind::InvalidArg, named);
    error
}

#[cfg(test)]
mod tests;
