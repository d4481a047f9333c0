//! Speaking to the other collector of a pair over HTTP, with the secret that both have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Identity, Response, Url, header};
use thiserror::Error;

use crate::config::TlsFiles;

/// A connection is made in this time, or it is not.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two pieces of an answer no more time passes.
const SILENCE: Duration = Duration::from_secs(60);
/// How much of a refusal is shown.
const EXCERPT_CHARS: usize = 200;

/// Why the peer cannot be asked.
#[derive(Debug, Error)]
pub enum Error {
    /// A certificate or key cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client cannot be made of what the files say.
    #[error("cannot prepare the connection to {peer}")]
    Prepare {
        /// To whom.
        peer: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// The address cannot be used.
    #[error("{peer} is no address")]
    Address {
        /// What it should be.
        peer: String,
    },
    /// The connection failed, or broke.
    #[error("cannot reach {peer}")]
    Connection {
        /// Whom.
        peer: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("no answer from {peer} within {patience:?}")]
    Silent {
        /// From whom.
        peer: String,
        /// How long it had.
        patience: Duration,
    },
    /// It refuses.
    #[error("{peer} answers {status}: {excerpt}")]
    Refused {
        /// Who.
        peer: String,
        /// With what.
        status: u16,
        /// The start of what it says.
        excerpt: String,
    },
    /// Its answer is longer than it may be.
    #[error("the answer of {peer} has more than {most} bytes")]
    TooLong {
        /// Whose.
        peer: String,
        /// How long it may be.
        most: usize,
    },
    /// Its answer cannot be understood.
    #[error("the answer of {peer} cannot be understood: {reason}")]
    Answer {
        /// Whose.
        peer: String,
        /// Why not.
        reason: &'static str,
    },
}

/// A way to one collector. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    client: reqwest::Client,
    base: Url,
    token: String,
}

/// Without the secret.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

impl Client {
    /// A way to the collector that serves at `base`, whose secret is `token`.
    ///
    /// # Errors
    /// When a certificate cannot be read, or `base` is no URL.
    pub fn new(base: &str, token: &str, tls: Option<&TlsFiles>) -> Result<Self, Error> {
        // Fails when the process has a provider already, which then serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let peer = || base.to_owned();
        let prepare = |source: reqwest::Error| Error::Prepare { peer: peer(), source };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("hallwatch-collector/", env!("CARGO_PKG_VERSION")));
        if let Some(TlsFiles { ca, client }) = tls {
            let trusted = Certificate::from_pem_bundle(&read(ca)?).map_err(prepare)?;
            builder = builder.tls_certs_only(trusted);
            if let Some((chain, key)) = client {
                let mut pem = read(chain)?;
                pem.push(b'\n');
                pem.extend(read(key)?);
                builder = builder.identity(Identity::from_pem(&pem).map_err(prepare)?);
            }
        }
        let url = Url::parse(base).map_err(|_| Error::Address { peer: peer() })?;
        let client = builder.build().map_err(prepare)?;
        Ok(Self { client, base: url, token: token.to_owned() })
    }

    /// Who is asked, as errors name it.
    #[must_use]
    pub fn name(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|_| Error::Address { peer: self.name() })
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        let bearer = format!("Bearer {}", self.token);
        let sent = request.header(header::AUTHORIZATION, bearer).send().await;
        let mut response = sent.map_err(|source| self.failed(source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = match response.chunk().await {
            Ok(Some(chunk)) => String::from_utf8_lossy(&chunk).into_owned(),
            // The status says enough.
            Ok(None) | Err(_) => String::new(),
        };
        let excerpt = text.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS).collect();
        Err(Error::Refused { peer: self.name(), status: status.as_u16(), excerpt })
    }

    /// Gets `path`, to read the answer piece by piece.
    ///
    /// # Errors
    /// When there is none, or a refusal.
    pub async fn stream(&self, path: &str) -> Result<Response, Error> {
        self.answer(self.client.get(self.url(path)?)).await
    }

    /// Gets `path`.
    ///
    /// # Errors
    /// When there is no answer, a refusal, or one of more than `most` bytes.
    pub async fn get(&self, path: &str, most: usize) -> Result<Vec<u8>, Error> {
        let response = self.stream(path).await?;
        self.whole(response, most).await
    }

    /// Posts `body` to `path`.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn post(&self, path: &str, body: Vec<u8>, most: usize) -> Result<Vec<u8>, Error> {
        let request = self.client.post(self.url(path)?);
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream").body(body);
        let response = self.answer(request).await?;
        self.whole(response, most).await
    }

    async fn whole(&self, mut response: Response, most: usize) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| self.failed(source))? {
            if all.len() + chunk.len() > most {
                return Err(Error::TooLong { peer: self.name(), most });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// What is said as JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(bytes)
            .map_err(|_| self.strange("it is not the JSON that was asked for"))
    }

    /// Its answer cannot be understood.
    #[must_use]
    pub fn strange(&self, reason: &'static str) -> Error {
        Error::Answer { peer: self.name(), reason }
    }

    /// It has not answered in time.
    #[must_use]
    pub fn silent(&self, patience: Duration) -> Error {
        Error::Silent { peer: self.name(), patience }
    }

    /// The connection failed.
    #[must_use]
    pub fn failed(&self, source: reqwest::Error) -> Error {
        Error::Connection { peer: self.name(), source: source.without_url() }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}
