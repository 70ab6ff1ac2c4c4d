//! Who makes a request, and what they may see. [`admit()`] makes a [`Viewer`] for every request; handlers get it as an
//! extractor, and can read nothing without it.

mod admit;
mod audit;
mod audit_notes;
pub mod auth_proxy;
mod claims;
mod cookie;
mod credential;
mod forms;
mod key_file;
mod limits;
mod line_limit;
pub mod oidc;
mod page;
mod paths;
mod refusals;
mod requests;
mod responder;
mod service;
mod session;
mod tokens;
mod viewer;

pub use admit::{Gate, admit};
pub use claims::ProviderHttp;
pub use credential::NoViewer;
pub use forms::{sign_in, sign_in_form, sign_out};
pub use key_file::KEY_COMMAND;
pub use paths::{OIDC_CALLBACK, OIDC_START, PREFIX, SIGN_IN, SIGN_OUT};
pub use service::SignIn;
pub use session::SessionKeys;
#[cfg(test)]
pub use session::{ClaimedIdentity, Proof, Session};
pub use viewer::{SignedIn, Viewer};
