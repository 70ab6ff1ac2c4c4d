//! The encoding of the data that the server embeds in a page and sends in its event stream: postcard in
//! base64.

use codee::{Decoder, Encoder};
use serde::{Serialize, de::DeserializeOwned};

/// Postcard in base64.
pub struct Compact;

#[cfg(feature = "ssr")]
impl<T: Serialize> Encoder<T> for Compact {
    type Error = postcard::Error;
    type Encoded = String;

    fn encode(value: &T) -> Result<String, Self::Error> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        Ok(STANDARD.encode(postcard::to_allocvec(value)?))
    }
}

/// Never called: the browser sends nothing in this form. It exists because Leptos requires both directions.
#[cfg(not(feature = "ssr"))]
impl<T: Serialize> Encoder<T> for Compact {
    type Error = postcard::Error;
    type Encoded = String;

    fn encode(_: &T) -> Result<String, Self::Error> {
        Err(postcard::Error::WontImplement)
    }
}

impl<T: DeserializeOwned> Decoder<T> for Compact {
    type Error = postcard::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<T, Self::Error> {
        postcard::from_bytes(&bytes(text).ok_or(postcard::Error::DeserializeBadEncoding)?)
    }
}

/// Decodes base64 with the browser's own `atob`, which returns each byte as the character with that number.
#[cfg(not(feature = "ssr"))]
fn bytes(text: &str) -> Option<Vec<u8>> {
    let binary = leptos::prelude::window().atob(text).ok()?;
    Some(binary.chars().map(|byte| byte as u8).collect())
}

#[cfg(feature = "ssr")]
fn bytes(text: &str) -> Option<Vec<u8>> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(text).ok()
}
