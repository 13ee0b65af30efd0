//! What is served where, and to whom. The figures are others'.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dwell_output::{METRICS_CONTENT_TYPE, Metrics};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::access::is_own_name;
use crate::connection::Connections;
use crate::{Token, View, report, tls};

/// Where the console listens, and who may ask.
#[derive(Clone, Debug)]
pub struct ConsoleConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// The token that requests must bring.
    pub token: Option<Token>,
    /// Certificate chain and private key (PEM files), for TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Why the console cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is open to others, and nothing guards it.
    #[error("{0} is open to others: a token or TLS is needed")]
    Unguarded(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// How the sensor fares, as health checks and the page are told.
#[derive(Debug, Default)]
pub struct Status {
    healthy: AtomicBool,
    ready: AtomicBool,
    text: Mutex<String>,
}

impl Status {
    /// Sets whether packets are being read at all, whether an interface gives some, and a JSON
    /// object with more.
    pub fn set(&self, healthy: bool, ready: bool, json: String) {
        self.healthy.store(healthy, Ordering::Relaxed);
        self.ready.store(ready, Ordering::Relaxed);
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = json;
    }

    fn json(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A console that listens and does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    token: Option<Token>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Bound {
    /// Takes the address, and reads certificate and key: before rights are given up.
    ///
    /// # Errors
    /// An address that cannot be had or that nothing guards, files that cannot be used.
    pub fn bind(config: ConsoleConfig) -> Result<Self, BindError> {
        let address = config.listen;
        if !address.ip().is_loopback() && config.token.is_none() && config.tls.is_none() {
            return Err(BindError::Unguarded(address));
        }
        let tls = match &config.tls {
            Some((certificate, key)) => Some(tls::server_config(certificate, key)?),
            None => None,
        };
        let listen = |source| BindError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        Ok(Self { listener, token: config.token, tls })
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` is sent or dropped. Blocks: call it on a thread of its own.
    ///
    /// # Errors
    /// What the system says.
    pub fn serve(
        self,
        metrics: Arc<Metrics>,
        view: Arc<View>,
        status: Arc<Status>,
        stop: Stop,
    ) -> io::Result<()> {
        let shared = Shared { metrics, view, status, token: self.token.map(Arc::new) };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            let acceptor = self.tls.map(tokio_rustls::TlsAcceptor::from);
            let connections = Connections::accept(listener, acceptor)?;
            let serving = axum::serve(connections, router(shared)).into_future();
            tokio::select! {
                served = serving => served,
                _ = stop.0 => Ok(()),
            }
        })
    }
}

/// What ends a console's [`Bound::serve`].
#[derive(Debug)]
pub struct Stop(oneshot::Receiver<()>);

/// What is kept to end a console: dropping it ends it.
#[derive(Debug)]
pub struct Stopper(#[expect(dead_code, reason = "its drop is what counts")] oneshot::Sender<()>);

impl Stop {
    /// A pair of the two ends.
    #[must_use]
    pub fn pair() -> (Stopper, Self) {
        let (sender, receiver) = oneshot::channel();
        (Stopper(sender), Self(receiver))
    }
}

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    view: Arc<View>,
    status: Arc<Status>,
    token: Option<Arc<Token>>,
}

fn router(shared: Shared) -> Router {
    let guarded = Router::new()
        .route("/", get(|| async { typed("text/html; charset=utf-8", report::PAGE) }))
        .route("/app.css", get(|| async { typed("text/css; charset=utf-8", report::STYLE) }))
        .route("/app.js", get(|| async { typed("text/javascript; charset=utf-8", report::SCRIPT) }))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/findings", get(findings))
        .route("/api/v1/findings/{id}", get(finding))
        .route("/api/v1/sessions", get(sessions))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), guard));
    Router::new()
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .merge(guarded)
        .layer(axum::middleware::map_response(with_policy))
        .with_state(shared)
}

/// Lets a request pass that brings the token, or, where none is set, calls us by our own name.
async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let allowed = match &shared.token {
        Some(token) => {
            headers.get(AUTHORIZATION).is_some_and(|value| token.is_in(value.as_bytes()))
        }
        None => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            host.is_none_or(is_own_name)
        }
    };
    if allowed {
        return next.run(request).await;
    }
    let mut refused = (StatusCode::UNAUTHORIZED, "not allowed\n").into_response();
    if shared.token.is_some() {
        let challenge = HeaderValue::from_static("Basic realm=\"dwell\", charset=\"UTF-8\"");
        refused.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    refused
}

/// Headers of every answer: nothing is loaded from elsewhere, framed or kept.
async fn with_policy(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
             img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn typed(content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let body: Bytes = body.into();
    ([(CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.metrics.render() {
        Ok(text) => typed(METRICS_CONTENT_TYPE, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn healthy(State(shared): State<Shared>) -> Response {
    answer(shared.status.healthy.load(Ordering::Relaxed), "healthy", "packets are not being read")
}

async fn ready(State(shared): State<Shared>) -> Response {
    answer(shared.status.ready.load(Ordering::Relaxed), "ready", "no interface is up")
}

fn answer(well: bool, yes: &'static str, no: &'static str) -> Response {
    let (code, text) =
        if well { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) };
    (code, format!("{text}\n")).into_response()
}

async fn status(State(shared): State<Shared>) -> Response {
    typed(JSON, shared.status.json())
}

/// How many entries of a list are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    limit: Option<usize>,
}

/// Entries of a list that are given when nobody says how many.
const DEFAULT_LIMIT: usize = 1000;

const JSON: &str = "application/json";

async fn findings(State(shared): State<Shared>, Query(listing): Query<Listing>) -> Response {
    typed(JSON, list("findings", &shared.view.findings(), &listing))
}

async fn sessions(State(shared): State<Shared>, Query(listing): Query<Listing>) -> Response {
    typed(JSON, list("sessions", &shared.view.sessions(), &listing))
}

async fn finding(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    match shared.view.finding(&id) {
        Some(line) => typed(JSON, line.to_vec()),
        None => (StatusCode::NOT_FOUND, "no such finding\n").into_response(),
    }
}

/// Lines as one JSON object with their number.
fn list(name: &str, lines: &[Arc<[u8]>], listing: &Listing) -> Vec<u8> {
    let wanted = listing.limit.unwrap_or(DEFAULT_LIMIT);
    let mut json = format!("{{\"total\":{},\"{name}\":[", lines.len()).into_bytes();
    for (number, line) in lines.iter().take(wanted).enumerate() {
        if number > 0 {
            json.push(b',');
        }
        json.extend_from_slice(line);
    }
    json.extend_from_slice(b"]}");
    json
}
