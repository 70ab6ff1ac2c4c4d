//! The pair that the listener shows, and how new files replace it while the program runs.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use tokio::{task::spawn_blocking, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    ENDS_SOON,
    pair::{KeyPair, PairError, PemFiles, Validity},
};
use crate::server::config::TlsFiles;
use model::Millis;

/// Time between two looks at the files. A new pair is used within ten seconds, also if the first look saw one of
/// its files alone.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// TLS of the listener.
pub struct ServerTls {
    files: TlsFiles,
    clock: fn() -> Millis,
    /// Connections take it as they begin, and keep it.
    config: RwLock<Arc<ServerConfig>>,
    progress: Mutex<Progress>,
}

/// What the looks at the files have found.
struct Progress {
    /// The hash of the files in use.
    in_use: [u8; 32],
    validity: Validity,
    stage: Stage,
    /// Why the files could not be used at the last look.
    refused: Option<String>,
    /// The refusal that was logged.
    logged: Option<String>,
}

/// Where the time is in the validity of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    NotYet,
    Valid,
    EndsSoon,
    Ended,
}

/// The digest of new files, their pair, and what connections need of it.
type NewPair = ([u8; 32], KeyPair, Arc<ServerConfig>);

impl Stage {
    pub fn at(now: Timestamp, validity: &Validity) -> Self {
        match () {
            () if now < validity.from => Self::NotYet,
            () if now > validity.until => Self::Ended,
            () if validity.until.duration_since(now) < ENDS_SOON => Self::EndsSoon,
            () => Self::Valid,
        }
    }
}

impl ServerTls {
    /// Reads the pair. Fails if it cannot be used. One that is not valid now is used, with a warning: clients refuse
    /// it by themselves, and a program that does not start would not take over the next one.
    pub async fn read(files: TlsFiles, clock: fn() -> Millis) -> anyhow::Result<Arc<Self>> {
        let of_task = files.clone();
        let read = spawn_blocking(move || {
            warn_of_open_key(&of_task.key);
            let pem = PemFiles::read(&of_task)?;
            Ok::<_, PairError>((pem.digest(), KeyPair::parse(&pem, &of_task)?))
        });
        let read = read.await?.map_err(|error| {
            let flags = error.flags(&files);
            anyhow::Error::new(error).context(format!("{flags} cannot be used"))
        });
        let (in_use, pair) = read?;
        let config = RwLock::new(pair.server_config().context("TLS cannot be used")?);
        let validity = pair.validity;
        let progress = Progress { in_use, validity, stage: Stage::Valid, refused: None, logged: None };
        let tls = Self { files, clock, config, progress: Mutex::new(progress) };
        tls.warn_of_end();
        Ok(Arc::new(tls))
    }

    /// Returns what a new connection begins with.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.read().clone())
    }

    /// Looks at the files again and again, until `shutdown`.
    pub async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        while timeout(CHECK_INTERVAL, shutdown.cancelled()).await.is_err() {
            let tls = self.clone();
            // A panic was logged, and the next look may find other files.
            let _ = spawn_blocking(move || tls.reload()).await;
        }
    }

    /// Takes over the files if they have changed and can be used. Blocks.
    pub fn reload(&self) {
        match self.read_new() {
            Ok(None) => self.forget_refusal(),
            Ok(Some((digest, pair, config))) => {
                *self.config.write() = config;
                let until = pair.validity.until;
                let mut progress = self.progress.lock();
                (progress.in_use, progress.validity) = (digest, pair.validity);
                drop(progress);
                self.forget_refusal();
                tracing::info!(%until, "new connections get the new certificate");
            }
            Err(error) => self.refuse(error),
        }
        self.warn_of_end();
    }

    /// Returns the pair of the files if it is another one than that in use. Fails if it cannot be used now.
    fn read_new(&self) -> Result<Option<NewPair>, String> {
        let text = |error: PairError| error.to_string();
        let pem = PemFiles::read(&self.files).map_err(text)?;
        let digest = pem.digest();
        if digest == self.progress.lock().in_use {
            return Ok(None);
        }
        let pair = KeyPair::parse(&pem, &self.files).map_err(text)?;
        let Validity { from, until } = pair.validity;
        if !pair.validity.contains(self.now()) {
            let path = self.files.certificate.display();
            return Err(format!("the certificate in {path} is valid from {from} until {until}, and not now"));
        }
        let config = pair.server_config().map_err(|error| error.to_string())?;
        Ok(Some((digest, pair, config)))
    }

    /// Logs why new files are not used, once, and at the second look only: at the first one they may be half
    /// written, or one of them may be new alone.
    fn refuse(&self, error: String) {
        let mut progress = self.progress.lock();
        if progress.refused.as_ref() == Some(&error) && progress.logged.as_ref() != Some(&error) {
            tracing::warn!(error, "the new certificate cannot be used; the previous one stays in use");
            progress.logged = Some(error.clone());
        }
        progress.refused = Some(error);
    }

    fn forget_refusal(&self) {
        let mut progress = self.progress.lock();
        (progress.refused, progress.logged) = (None, None);
    }

    /// Logs once that the certificate in use ends soon, or is not valid.
    fn warn_of_end(&self) {
        let mut progress = self.progress.lock();
        let Validity { from, until } = progress.validity;
        let stage = Stage::at(self.now(), &progress.validity);
        if std::mem::replace(&mut progress.stage, stage) == stage {
            return;
        }
        match stage {
            Stage::Valid => {}
            Stage::EndsSoon => {
                tracing::warn!(%until, "the certificate of --tls-cert ends soon, and no new one is in its file")
            }
            Stage::NotYet => {
                tracing::error!(%from, "the certificate of --tls-cert is not valid yet: browsers and programs refuse it");
            }
            Stage::Ended => {
                tracing::error!(%until, "the certificate of --tls-cert has expired: browsers and programs refuse it");
            }
        }
    }

    /// Returns the refusal that was logged and still holds.
    #[cfg(test)]
    pub(super) fn logged_refusal(&self) -> Option<String> {
        self.progress.lock().logged.clone()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond((self.clock)()).unwrap_or(Timestamp::MAX)
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Warns if other users of the machine may read the key.
fn warn_of_open_key(key: &Path) {
    let mode = std::fs::metadata(key).map_or(0, |found| found.permissions().mode());
    if mode & 0o004 != 0 {
        let (path, mode) = (key.display(), format!("{:o}", mode & 0o777));
        tracing::warn!(%path, mode, "every user of this machine may read the key of --tls-key: set its mode to 0400 or 0440");
    }
}
