//! Serves the files of the browser's half, which are embedded in the executable. They are indexed once at
//! start and sent as they were compressed by the build.
//!
//! `build.rs` says which folder is embedded. The path of every file under `pkg/HASH/` contains the hash of
//! the content.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    encoding::{self, Encoding},
    error::{ApiError, ApiResult},
    etag,
};
use crate::app::Bundle;

const MANIFEST: &str = "manifest.json";
const PKG: &str = "pkg/";

#[derive(rust_embed::RustEmbed)]
#[folder = "$WUKONG_SITE_DIR"]
struct Site;

/// All embedded files by path, without the leading slash.
#[derive(Default)]
pub struct Assets {
    files: HashMap<String, Asset>,
    bundle: Bundle,
}

struct Asset {
    content_type: HeaderValue,
    cache_control: HeaderValue,
    plain: Variant,
    brotli: Option<Variant>,
    gzip: Option<Variant>,
}

struct Variant {
    bytes: Bytes,
    etag: HeaderValue,
}

impl Variant {
    fn new(bytes: Cow<'static, [u8]>) -> Self {
        let etag = etag::of(&bytes);
        let bytes = match bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        Self { bytes, etag }
    }
}

impl Assets {
    /// Returns the files that were embedded when the program was built. Fails if the manifest cannot be
    /// read.
    pub fn embedded() -> Result<Self, serde_json::Error> {
        Self::new(Site::iter().filter_map(|path| Some((path.to_string(), Site::get(&path)?.data))))
    }

    /// Builds the index from `(path, content)` pairs. A `.br` or `.gz` file is the compressed form of the
    /// file that it is named after. Fails if the manifest cannot be read.
    pub fn new(
        files: impl IntoIterator<Item = (String, Cow<'static, [u8]>)>,
    ) -> Result<Self, serde_json::Error> {
        let mut all: HashMap<String, Cow<'static, [u8]>> = files.into_iter().collect();
        let manifest = all.remove(MANIFEST).map(|bytes| serde_json::from_slice(&bytes)).transpose()?;
        let names: Vec<String> = all.keys().filter(|name| !is_sibling(name, &all)).cloned().collect();
        let mut assets = Self { files: HashMap::new(), bundle: bundle(manifest.unwrap_or_default()) };
        for name in names {
            if let Some(asset) = asset(&name, &mut all) {
                assets.files.insert(name, asset);
            }
        }
        Ok(assets)
    }

    /// Returns the same files, to which pages link below the base path.
    pub fn below(mut self, base: &str) -> Self {
        for url in [&mut self.bundle.css, &mut self.bundle.js].into_iter().filter(|url| !url.is_empty()) {
            url.insert_str(0, base);
        }
        self
    }

    /// Returns the URLs of the files that pages link to.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Returns the paths of files that are not under `pkg/`, such as icons.
    pub fn at_root(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str).filter(|path| !path.starts_with(PKG))
    }

    /// Returns whether a file has this path of an address.
    pub fn contain(&self, path: &str) -> bool {
        path.strip_prefix('/').is_some_and(|path| self.files.contains_key(path))
    }

    fn respond(&self, path: &str, headers: &HeaderMap) -> ApiResult<Response> {
        let asset = self.files.get(path).ok_or(ApiError::NotFound("no such file".into()))?;
        Ok(asset.respond(headers))
    }
}

/// Handles `GET /pkg/…` and the files at the root.
pub async fn serve(State(assets): State<Arc<Assets>>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    assets.respond(path, request.headers()).into_response()
}

impl Asset {
    fn respond(&self, headers: &HeaderMap) -> Response {
        let (encoding, variant) = self.choose(encoding::negotiate(headers));
        let known = etag::matches(headers, &variant.etag);
        let mut response =
            Response::new(if known { Body::empty() } else { Body::from(variant.bytes.clone()) });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, self.content_type.clone());
        out.insert(header::CACHE_CONTROL, self.cache_control.clone());
        out.insert(header::ETAG, variant.etag.clone());
        out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Some(coding) = encoding.header().filter(|_| !known) {
            out.insert(header::CONTENT_ENCODING, coding);
        }
        response
    }

    fn choose(&self, wanted: Encoding) -> (Encoding, &Variant) {
        let compressed = match wanted {
            Encoding::Brotli => self.brotli.as_ref(),
            Encoding::Gzip => self.gzip.as_ref(),
            Encoding::Identity => None,
        };
        compressed.map_or((Encoding::Identity, &self.plain), |variant| (wanted, variant))
    }
}

fn asset(name: &str, all: &mut HashMap<String, Cow<'static, [u8]>>) -> Option<Asset> {
    Some(Asset {
        content_type: HeaderValue::from_static(content_type(name)),
        cache_control: HeaderValue::from_static(cache_control(name)),
        plain: Variant::new(all.remove(name)?),
        brotli: all.remove(&format!("{name}.br")).map(Variant::new),
        gzip: all.remove(&format!("{name}.gz")).map(Variant::new),
    })
}

fn is_sibling(name: &str, all: &HashMap<String, Cow<'static, [u8]>>) -> bool {
    let base = name.strip_suffix(".br").or_else(|| name.strip_suffix(".gz"));
    base.is_some_and(|base| all.contains_key(base))
}

/// Returns the value of `Cache-Control`. A path with a hash never changes its content; any other file may
/// change with the next version.
fn cache_control(name: &str) -> &'static str {
    if name.starts_with(PKG) { "public, max-age=31536000, immutable" } else { "public, max-age=3600" }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

/// `manifest.json` as the build writes it. A field is absent if the build did not make the file.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Manifest {
    css: String,
    js: String,
}

fn bundle(Manifest { css, js }: Manifest) -> Bundle {
    Bundle { css, js }
}
