//! The dashboard's REST API: each endpoint has a version of its own, and refuses any other (415).

use super::login::Login;
use crate::server::{
    collect::{
        error::Failure,
        outside::{Reply, Session},
    },
    k8s::{
        ceph::{PoolImages, RbdImage},
        lenient::Obj,
    },
    snapshot::facts::{Image, ImageStats},
};

/// Images of one page: 600 kB of answer, about 2 s of the manager's time.
pub const PAGE: usize = 100;
const V1: &str = "application/vnd.ceph.api.v1.0+json";
const V2: &str = "application/vnd.ceph.api.v2.0+json";

/// The API for the length of one round.
pub struct Api<'a> {
    session: Session,
    login: &'a mut Login,
    /// The login is of this round: should its token be refused, another one would be too.
    fresh: bool,
}

#[derive(Debug)]
pub struct Page {
    pub images: Vec<ImageStats>,
    /// Images that it told of, those among them whose size cannot be read.
    pub count: usize,
    /// Images of the pool, as the server counts them.
    pub total: Option<usize>,
}

impl<'a> Api<'a> {
    pub async fn enter(session: Session, login: &'a mut Login) -> Result<Self, Failure> {
        let fresh = !login.is_done();
        if fresh {
            login.renew(&session).await?;
        }
        Ok(Self { session, login, fresh })
    }

    /// None: there is no such pool.
    pub async fn page(&mut self, pool: &str, offset: usize) -> Result<Option<Page>, Failure> {
        let mut url = self.session.url(&["api", "block", "image"]);
        let (from, limit) = (offset.to_string(), PAGE.to_string());
        url.query_pairs_mut()
            .append_pair("pool_name", pool)
            .extend_pairs([("offset", from), ("limit", limit)]);
        let Some(reply) = self.get(url, V2).await? else { return Ok(None) };
        let total = reply.headers.get("x-total-count").and_then(|total| total.to_str().ok()?.parse().ok());
        let pool = pool.to_owned();
        let page = reply.decode(move |answer| decode_page(answer, &pool)).await?;
        Ok(Some(Page { total, ..page }))
    }

    /// None: there is no such image, or none that it tells the size of.
    pub async fn image(&mut self, image: &Image) -> Result<Option<ImageStats>, Failure> {
        let url = self.session.url(&["api", "block", "image", &spec(image)]);
        let Some(reply) = self.get(url, V1).await? else { return Ok(None) };
        let image = image.clone();
        reply.decode(move |answer| decode_image(answer, image)).await
    }

    /// None: what is asked for does not exist.
    async fn get(&mut self, url: reqwest::Url, version: &str) -> Result<Option<Reply>, Failure> {
        let mut reply = self.send(&url, version).await;
        if reply.as_ref().is_err_and(|failure| failure.is_status(401)) && !self.fresh {
            self.fresh = true;
            self.login.renew(&self.session).await?;
            reply = self.send(&url, version).await;
        }
        match reply {
            Ok(reply) => Ok(Some(reply)),
            // An unknown pool is a 400, an unknown image a 404.
            Err(failure) if failure.is_status(400) || failure.is_status(404) => Ok(None),
            Err(failure) => {
                self.login.forget_refused(&failure);
                Err(failure)
            }
        }
    }

    async fn send(&self, url: &reqwest::Url, version: &str) -> Result<Reply, Failure> {
        let request = self.session.get(url.clone()).header(http::header::ACCEPT, version);
        self.session.send(self.login.sign(request)).await
    }
}

/// `pool/image` or `pool/namespace/image`.
fn spec(image: &Image) -> String {
    let Image { pool, namespace, name } = image;
    if namespace.is_empty() { format!("{pool}/{name}") } else { format!("{pool}/{namespace}/{name}") }
}

fn decode_page(answer: &[u8], pool: &str) -> Option<Page> {
    let pools: Vec<PoolImages> = serde_json::from_slice(answer).ok()?;
    let images: Vec<Obj<RbdImage>> = pools.into_iter().flat_map(|pool| pool.value).collect();
    let named = images.iter().filter(|image| !image.name.is_empty());
    let known = named.filter_map(|image| stats(identity(image, pool), image)).collect();
    Some(Page { images: known, count: images.len(), total: None })
}

fn identity(image: &RbdImage, asked: &str) -> Image {
    let pool = if image.pool_name.is_empty() { asked } else { &image.pool_name };
    Image { pool: pool.into(), namespace: (*image.namespace).into(), name: (*image.name).into() }
}

/// The outer none: this is not the image.
fn decode_image(answer: &[u8], image: Image) -> Option<Option<ImageStats>> {
    let found: RbdImage = serde_json::from_slice(answer).ok()?;
    (*found.name == *image.name).then(|| stats(image, &found))
}

/// An image whose size is not told is left out: there is nothing that its usage could be a part of.
fn stats(image: Image, found: &RbdImage) -> Option<ImageStats> {
    Some(ImageStats { image, size: found.size.0?, used: found.total_disk_usage.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(namespace: &str, name: &str) -> Image {
        Image { pool: "rbd".into(), namespace: namespace.into(), name: name.into() }
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
        let want =
            [(image("", "a"), 100, Some(40)), (image("ns", "b"), 100, None), (image("", "d"), 5, None)];
        assert_eq!((rows.as_slice(), page.count), (&want[..], 6));
        for answer in ["", "{}", "null", "[7]", r#"[{"value":3}]"#, r#"[{"value":[{"name""#, "<html>"] {
            assert!(decode_page(answer.as_bytes(), "rbd").is_none(), "{answer}");
        }
    }

    #[test]
    fn an_image_is_the_one_that_was_asked_for() {
        let answer = br#"{"name":"a","pool_name":"rbd","size":100,"total_disk_usage":40}"#;
        assert_eq!(decode_image(answer, image("", "a")).unwrap().unwrap().used, Some(40));
        assert_eq!(decode_image(br#"{"name":"a"}"#, image("", "a")), Some(None));
        assert!(decode_image(answer, image("", "b")).is_none());
        assert_eq!((spec(&image("", "a")), spec(&image("ns", "a"))), ("rbd/a".into(), "rbd/ns/a".into()));
    }
}
