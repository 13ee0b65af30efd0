//! Records to a web hook: one HTTP POST each, tried again until the far side takes it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::StatusCode;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Again, Failure, Item, Sink};
use crate::SinkError;

/// The longest text of authorities or a token that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A web hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where records are posted to.
    pub url: String,
    /// A file with a token for `Authorization: Bearer`.
    pub token_file: Option<PathBuf>,
    /// The authorities that may sign the far side's certificate (PEM); without it those of the
    /// web.
    pub authorities: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// Posts records to a web hook.
pub struct WebhookSink {
    config: WebhookConfig,
    authorization: Option<String>,
    agent: ureq::Agent,
}

impl WebhookSink {
    /// A sink that connects when it first has something to send.
    ///
    /// # Errors
    /// Authorities or a token that cannot be read, a URL that is none.
    pub fn new(config: WebhookConfig) -> io::Result<Self> {
        let refused = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        if !config.url.starts_with("https://") && !config.url.starts_with("http://") {
            return Err(refused(format!("{:?} is no http or https URL", config.url)));
        }
        let authorization = match &config.token_file {
            None => None,
            Some(path) => Some(format!("Bearer {}", read(path)?.trim())),
        };
        let roots = match &config.authorities {
            None => RootCerts::WebPki,
            Some(path) => {
                let certificates: Vec<Certificate<'static>> =
                    ureq::tls::parse_pem(read(path)?.as_bytes())
                        .filter_map(|item| match item {
                            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                            _ => None,
                        })
                        .collect();
                if certificates.is_empty() {
                    return Err(refused(format!("{}: no certificate in it", path.display())));
                }
                RootCerts::new_with_certs(&certificates)
            }
        };
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("dwell/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Self { config, authorization, agent: agent.into() })
    }

    fn post(&self, item: &Item) -> Result<(), Failure> {
        let mut request =
            self.agent.post(&self.config.url).header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let failure = |error, again, text: String| {
            let message = format!("{}: {text}", self.config.url);
            Failure { error, message, again, written: 0 }
        };
        let mut answer = request.send(&item.bytes[..]).map_err(|error| match error {
            ureq::Error::Timeout(_) => {
                failure(SinkError::Timeout, Again::Soon, "no answer in time".to_owned())
            }
            ureq::Error::Io(error) => Failure::of_io(&error, &self.config.url),
            ureq::Error::Rustls(error) => {
                failure(SinkError::Rejected, Again::Soon, error.to_string())
            }
            other => failure(SinkError::Unreachable, Again::Soon, other.to_string()),
        })?;
        let status = answer.status();
        // What is read of the answer lets the connection be used again.
        let _ = answer.body_mut().with_config().limit(64 * 1024).read_to_vec();
        if status.is_success() {
            return Ok(());
        }
        let text = format!("answers {status}");
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let asked = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let asked = asked.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            return Err(failure(SinkError::Timeout, asked.map_or(Again::Soon, Again::After), text));
        }
        Err(failure(SinkError::Rejected, Again::Never, text))
    }
}

impl Sink for WebhookSink {
    fn write(&mut self, items: &[Arc<Item>]) -> Result<(), Failure> {
        for (written, item) in items.iter().enumerate() {
            self.post(item).map_err(|failure| Failure { written, ..failure })?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for WebhookSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookSink").field("url", &self.config.url).finish_non_exhaustive()
    }
}

fn read(path: &PathBuf) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// Answers one request a line of `answers`; gives the requests.
    fn server(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.ends_with(b"}") {
                    let len = stream.read(&mut buffer).unwrap();
                    request.extend_from_slice(&buffer[..len]);
                }
                requests.push(String::from_utf8(request).unwrap());
                let end = "content-length: 0\r\nconnection: close\r\n\r\n";
                write!(stream, "HTTP/1.1 {answer}\r\n{end}").unwrap();
            }
            requests
        });
        (url, thread)
    }

    fn sink(url: String, token_file: Option<PathBuf>) -> WebhookSink {
        let timeout = Duration::from_secs(20);
        WebhookSink::new(WebhookConfig { url, token_file, authorities: None, timeout }).unwrap()
    }

    fn item(text: &str) -> Arc<Item> {
        Arc::new(Item { kind: "alert", bytes: text.as_bytes().to_vec() })
    }

    #[test]
    fn a_record_is_posted_as_it_is_with_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "hush\n").unwrap();
        let (url, thread) = server(&["204 No Content"]);
        sink(url, Some(token)).write(&[item("{\"a\":1}")]).unwrap();
        let request = thread.join().unwrap().remove(0);
        assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nauthorization: Bearer hush\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    }

    #[test]
    fn answers_say_whether_to_try_again() {
        let (url, thread) = server(&[
            "200 OK",
            "503 Unavailable",
            "429 Slow\r\nretry-after: 7",
            "400 Bad",
            "302 Found",
        ]);
        let mut sink = sink(url, None);
        let failure = sink.write(&[item("{1}"), item("{2}")]).unwrap_err();
        assert_eq!((failure.written, failure.again), (1, Again::Soon));
        let failure = sink.write(&[item("{2}")]).unwrap_err();
        assert_eq!(failure.again, Again::After(Duration::from_secs(7)));
        for _ in 0..2 {
            let failure = sink.write(&[item("{2}")]).unwrap_err();
            assert_eq!((failure.error, failure.again), (SinkError::Rejected, Again::Never));
        }
        assert_eq!(thread.join().unwrap().len(), 5);
    }

    #[test]
    fn nobody_there_is_tried_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let failure = sink(url, None).write(&[item("{}")]).unwrap_err();
        assert_eq!((failure.error, failure.again), (SinkError::Unreachable, Again::Soon));
    }
}
