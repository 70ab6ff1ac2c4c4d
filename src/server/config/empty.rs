//! Empty values count as not given: manifests and scripts often set a variable or a flag to nothing. `validate` calls
//! [`leave_out`] before clap parses the line.

use std::{env, ffi::OsString};

use clap::{Arg, Command};

/// The flags for which an empty value is a value.
const EMPTY_IS_A_VALUE: [&str; 1] = ["prometheus_trusted_namespaces"];

/// Returns the command without empty environment variables, and the line without empty values. A flag with an empty value
/// has its default, even if its variable is set.
pub fn leave_out(command: Command, line: impl IntoIterator<Item = OsString>) -> (Command, Vec<OsString>) {
    let mut emptied = Vec::new();
    let mut kept: Vec<OsString> = Vec::new();
    for word in line {
        let text = word.to_string_lossy();
        let flag = match text.split_once('=') {
            Some((flag, value)) if is_blank(value) => flag.to_owned(),
            _ if is_blank(&text) => {
                kept.last().map_or_else(String::new, |last| last.to_string_lossy().into_owned())
            }
            _ => String::new(),
        };
        if !can_be_left_out(&command, &flag) {
            kept.push(word);
            continue;
        }
        if is_blank(&text) {
            kept.pop();
        }
        emptied.push(flag);
    }
    // A subcommand has flags of its own: the variables of the others are not read.
    let named = kept.get(1).is_some_and(|word| command.find_subcommand(word).is_some());
    let without_empty = move |arg: Arg| {
        let empty =
            emptied.iter().any(|flag| is_long(&arg, flag)) || is_optional(&arg) && variable_is_blank(&arg);
        if empty { arg.env(None) } else { arg }
    };
    let subcommands = without_empty.clone();
    let command = command
        .mut_args(|arg| if named { arg.env(None) } else { without_empty(arg) })
        .mut_subcommands(|command| command.mut_args(&subcommands));
    (command, kept)
}

fn can_be_left_out(command: &Command, flag: &str) -> bool {
    let commands = || std::iter::once(command).chain(command.get_subcommands());
    let mut args = commands().flat_map(Command::get_arguments).filter(|arg| is_long(arg, flag));
    args.any(is_optional)
}

fn is_optional(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !EMPTY_IS_A_VALUE.contains(&arg.get_id().as_str())
}

fn is_long(arg: &Arg, flag: &str) -> bool {
    arg.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long))
}

fn variable_is_blank(arg: &Arg) -> bool {
    arg.get_env().and_then(env::var_os).is_some_and(|value| is_blank(&value.to_string_lossy()))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
