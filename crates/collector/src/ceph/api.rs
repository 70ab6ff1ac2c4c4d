//! Client of the ceph-mgr dashboard's REST API, used by the Ceph source. Each endpoint has its own version
//! and answers 415 to any other.

use http::{Request, header::ACCEPT};
use url::Url;

use super::login::Login;
use crate::{
    error::Failure,
    k8s::{
        ceph::{Pools, RbdImage},
        lenient::{Bounded, Obj},
    },
    outside::{Reply, Session},
};
use wukong_core::observation::{Image, ImageStats, Uncounted};

/// Images per page: an answer of 600 kB that takes about 2 s of the manager's time.
pub const PAGE: usize = 100;
const V1: &str = "application/vnd.ceph.api.v1.0+json";
const V2: &str = "application/vnd.ceph.api.v2.0+json";

/// The API, opened for one round.
pub struct Api<'a> {
    session: Session,
    login: &'a mut Login,
    /// The login was made in this round: if its token is refused, a further login would not help.
    fresh: bool,
}

/// One page of a pool's images.
#[derive(Debug)]
pub struct Page {
    pub images: Vec<ImageStats>,
    /// Images in the answer, including those whose size cannot be read.
    pub count: usize,
    /// Images in the pool, as counted by the server.
    pub total: Option<usize>,
}

impl<'a> Api<'a> {
    /// Opens the API, and logs in if there is no token. Fails if the login does.
    pub async fn enter(session: Session, login: &'a mut Login) -> Result<Self, Failure> {
        let fresh = !login.is_done();
        if fresh {
            login.renew(&session).await?;
        }
        Ok(Self { session, login, fresh })
    }

    /// One page of a pool's images. `None` if the pool does not exist.
    pub async fn page(&mut self, pool: &str, offset: usize) -> Result<Option<Page>, Failure> {
        let mut url = self.session.url(&["api", "block", "image"]);
        let (from, limit) = (offset.to_string(), PAGE.to_string());
        url.query_pairs_mut()
            .append_pair("pool_name", pool)
            .extend_pairs([("offset", from), ("limit", limit)]);
        let Some(reply) = self.get(url, V2, names_pool).await? else { return Ok(None) };
        let total = reply.headers.get("x-total-count").and_then(|total| total.to_str().ok()?.parse().ok());
        let pool = pool.to_owned();
        let page = reply.decode(move |answer| decode_page(answer, &pool)).await?;
        Ok(Some(Page { total, ..page }))
    }

    /// One image. `None` if it does not exist or the answer has no size for it.
    pub async fn image(&mut self, image: &Image) -> Result<Option<ImageStats>, Failure> {
        let url = self.session.url(&["api", "block", "image", &spec(image)]);
        let Some(reply) = self.get(url, V1, |_| true).await? else { return Ok(None) };
        let image = image.clone();
        reply.decode(move |answer| decode_image(answer, image)).await
    }

    /// Sends a GET, and logs in again if the token has expired. `None` if the requested thing does not exist;
    /// `names_it` tells whether an error text says that of the requested thing rather than of another one.
    async fn get(
        &mut self,
        url: Url,
        version: &str,
        names_it: fn(&str) -> bool,
    ) -> Result<Option<Reply>, Failure> {
        let mut reply = self.send(&url, version).await;
        if reply.as_ref().is_err_and(|failure| failure.is_status(401)) && !self.fresh {
            self.fresh = true;
            self.login.renew(&self.session).await?;
            reply = self.send(&url, version).await;
        }
        match reply {
            Ok(reply) => Ok(Some(reply)),
            Err(failure) if is_absence(&failure, names_it) => Ok(None),
            Err(failure) => {
                self.login.forget_refused(&failure);
                Err(failure)
            }
        }
    }

    async fn send(&self, url: &Url, version: &str) -> Result<Reply, Failure> {
        let mut request = Request::get(url.as_str()).header(ACCEPT, version).body(Vec::new())?;
        self.login.sign(&mut request)?;
        self.session.send(request).await
    }
}

/// Whether the failure means absence: an unknown image is a 404, an unknown pool a 400 whose text says so
/// (`ENOENT`).
fn is_absence(failure: &Failure, names_it: fn(&str) -> bool) -> bool {
    let says_so = |line: &str| {
        let line = line.to_ascii_lowercase();
        (line.contains("[errno 2]") || line.contains("pool not found")) && names_it(&line)
    };
    match failure {
        Failure::Refused { code, says, .. } => match code.as_u16() {
            404 => true,
            400 => says_so(&says.line),
            _ => false,
        },
        _ => false,
    }
}

/// Whether the text is about the pool: `error opening pool 'rbd'` (`open_ioctx` in
/// src/pybind/rados/rados.pyx). A list also answers 400 with `[errno 2] RBD image not found` if a single
/// image of the pool cannot be opened (`Image.__init__` in src/pybind/rbd/rbd.pyx); the other images exist
/// all the same.
fn names_pool(line: &str) -> bool {
    line.contains("opening pool") || line.contains("pool not found")
}

/// The image as the API names it: `pool/image` or `pool/namespace/image`.
fn spec(image: &Image) -> String {
    let Image { pool, namespace, name, .. } = image;
    if namespace.is_empty() { format!("{pool}/{name}") } else { format!("{pool}/{namespace}/{name}") }
}

fn decode_page(answer: &[u8], pool: &str) -> Option<Page> {
    let Bounded(pools): Pools = serde_json::from_slice(answer).ok()?;
    let images: Vec<Obj<RbdImage>> = pools.into_iter().flat_map(|pool| pool.value).collect();
    let named = images.iter().filter(|image| !image.name.is_empty());
    let known = named.filter_map(|image| stats(identity(image, pool), image)).collect();
    Some(Page { images: known, count: images.len(), total: None })
}

fn identity(image: &RbdImage, requested_pool: &str) -> Image {
    let pool = if image.pool_name.is_empty() { requested_pool } else { &image.pool_name };
    let (namespace, name) = ((*image.namespace).into(), (*image.name).into());
    Image { pool: pool.into(), namespace, name, any_namespace: false }
}

/// The outer `None`: the answer is not this image.
fn decode_image(answer: &[u8], image: Image) -> Option<Option<ImageStats>> {
    let found: RbdImage = serde_json::from_slice(answer).ok()?;
    (*found.name == *image.name).then(|| stats(image, &found))
}

/// `None` without a size: the usage would have nothing to be compared with.
fn stats(image: Image, found: &RbdImage) -> Option<ImageStats> {
    Some(ImageStats { image, size: found.size.0?, used: usage(found) })
}

/// The used bytes, or why Ceph did not count them. Ceph counts with fast-diff. It does not count images that
/// are mirrored by snapshots, since their object map is always marked invalid (`_rbd_image` in
/// pybind/mgr/dashboard/services/rbd.py); so the mirror mode is checked first.
fn usage(image: &RbdImage) -> Result<u64, Uncounted> {
    if let Some(used) = image.total_disk_usage.0 {
        return Ok(used);
    }
    let has_fast_diff = || image.features_name.0.iter().any(|feature| feature == "fast-diff");
    Err(match &*image.mirror_mode {
        "snapshot" => Uncounted::Mirrored,
        _ if has_fast_diff() => Uncounted::InvalidMap,
        _ => Uncounted::NoFastDiff,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(namespace: &str, name: &str) -> Image {
        Image { pool: "rbd".into(), namespace: namespace.into(), name: name.into(), any_namespace: false }
    }

    /// ceph/ceph#64855 plans to count mirrored images as well.
    #[test]
    fn an_image_that_is_not_counted_says_why() {
        for (fields, want) in [
            (
                r#""features_name":["exclusive-lock","fast-diff","object-map"],"mirror_mode":"snapshot","total_disk_usage":null"#,
                Err(Uncounted::Mirrored),
            ),
            (
                r#""features_name":["layering"],"mirror_mode":"journal","total_disk_usage":null"#,
                Err(Uncounted::NoFastDiff),
            ),
            (
                r#""features_name":["fast-diff"],"mirror_mode":"unknown","total_disk_usage":null"#,
                Err(Uncounted::InvalidMap),
            ),
            (r#""mirror_mode":"snapshot","total_disk_usage":5"#, Ok(5)),
            (r#""features_name":null"#, Err(Uncounted::NoFastDiff)),
            (r#""features_name":7,"mirror_mode":7"#, Err(Uncounted::NoFastDiff)),
        ] {
            let found: RbdImage =
                serde_json::from_str(&format!(r#"{{"name":"a","size":9,{fields}}}"#)).unwrap();
            assert_eq!(stats(image("", "a"), &found).unwrap().used, want, "{fields}");
        }
        let removing: RbdImage =
            serde_json::from_str(r#"{"name":"x","id":"x","source":"REMOVING"}"#).unwrap();
        assert_eq!(stats(image("", "x"), &removing), None);
    }

    #[test]
    fn a_page_is_read_whatever_is_odd_in_it() {
        let answer = br#"[{"pool_name":"rbd","status":0,"value":[
            {"name":"a","pool_name":"rbd","namespace":null,"size":100,"disk_usage":1,"total_disk_usage":40,"configuration":[{}]},
            {"name":"b","pool_name":"rbd","namespace":"ns","size":100,"disk_usage":null,"total_disk_usage":null},
            {"name":"c","size":null,"total_disk_usage":7},{"name":"d","size":5,"total_disk_usage":-1},7,{"size":1}]},
            {"value":null}]"#;
        let page = decode_page(answer, "rbd").unwrap();
        let rows: Vec<_> = page.images.into_iter().map(|s| (s.image, s.size, s.used)).collect();
        let unknown = Err(Uncounted::NoFastDiff);
        let want =
            [(image("", "a"), 100, Ok(40)), (image("ns", "b"), 100, unknown), (image("", "d"), 5, unknown)];
        assert_eq!((rows.as_slice(), page.count), (&want[..], 6));
        let many = |count| format!("[{}]", vec![r#"{"value":[]}"#; count].join(","));
        assert!(decode_page(many(4).as_bytes(), "rbd").is_some());
        assert!(decode_page(many(5).as_bytes(), "rbd").is_none(), "one pool was asked for");
        for answer in ["", "{}", "null", "[7]", r#"[{"value":3}]"#, r#"[{"value":[{"name""#, "<html>"] {
            assert!(decode_page(answer.as_bytes(), "rbd").is_none(), "{answer}");
        }
    }

    #[test]
    fn an_image_is_identified_by_the_requested_pool() {
        let answer = br#"{"name":"a","pool_name":"rbd","size":100,"total_disk_usage":40}"#;
        assert_eq!(decode_image(answer, image("", "a")).unwrap().unwrap().used, Ok(40));
        assert_eq!(decode_image(br#"{"name":"a"}"#, image("", "a")), Some(None));
        assert!(decode_image(answer, image("", "b")).is_none());
        assert_eq!((spec(&image("", "a")), spec(&image("ns", "a"))), ("rbd/a".into(), "rbd/ns/a".into()));
    }
}
